/**
 * Attached devices and their memory, interrupts and refusals. Names begin with the kernel: {@code Mock}, or {@code Lab} for
 * real devices behind a real IOMMU, in the lab's machine.
 */
package dev.kvmvfio.it.vfio;
