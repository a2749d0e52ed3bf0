/** KVM: the system, virtual machines, virtual processors, devices that the kernel models, memory slots. */
package dev.kvmvfio.kvm;
