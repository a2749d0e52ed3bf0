/**
 * KVM: the system, virtual machines, virtual processors, devices that the kernel models, memory slots, and interrupts:
 * irqfds, ioeventfds and the table of GSI routes.
 */
package dev.kvmvfio.kvm;
