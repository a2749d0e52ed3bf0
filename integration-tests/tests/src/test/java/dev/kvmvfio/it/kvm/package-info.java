/**
 * Virtual machines, their memory, processors and interrupts. Names begin with the kernel: {@code Mock}, or {@code Real} for
 * this machine's own.
 */
package dev.kvmvfio.it.kvm;
