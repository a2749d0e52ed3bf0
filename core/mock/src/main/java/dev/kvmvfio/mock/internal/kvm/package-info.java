/**
 * KVM: {@code /dev/kvm}, virtual machines, vCPUs, memory slots, interrupts, and the device that tells VFIO of a VM.
 */
package dev.kvmvfio.mock.internal.kvm;
