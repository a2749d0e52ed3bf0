/**
 * VFIO: the driver {@code vfio-pci}, groups, containers with type 1, and devices with their regions, interrupts and
 * resets.
 */
package dev.kvmvfio.mock.internal.vfio;
