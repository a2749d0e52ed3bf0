package dev.kvmvfio.mock.internal.pci;

import java.util.List;

/**
 * What a PCI device is, and what the host does with it.
 *
 * @param address such as {@code 0000:6a:01.0}
 * @param identity what it calls itself
 * @param group the number of its IOMMU group, or null for any that is free
 * @param driver the host's own driver
 * @param bars in the order of their indexes
 * @param interrupts how it interrupts
 * @param express whether it is a device of PCI Express
 * @param behindBridge whether its bus can be reset
 * @param reset whether it can be reset by itself
 */
public record PciDescription(String address, Identity identity, Integer group, Driver driver, List<Bar.Spec> bars,
        Interrupts interrupts, boolean express, boolean behindBridge, boolean reset) {
    private static final int MSIX_ENTRY = 16;

    /** The numbers by which drivers know a device. */
    public record Identity(int vendor, int device, int subsystemVendor, int subsystem, int classCode, int revision) {
    }

    /** A driver, null for none, and what the host sees of the device as long as that driver has it. */
    public record Driver(String name, List<String> disks, List<String> networkLinks) {
    }

    /** The interrupts that a device has; {@code msix} is null for none. */
    public record Interrupts(boolean intx, int msiVectors, Msix msix) {
    }

    /** Where the MSI-X table is. */
    public record Msix(int vectors, int bar, int offset) {
        /** The bits of pending interrupts follow the table. */
        int pendingOffset() {
            return offset + vectors * MSIX_ENTRY;
        }

        public int end() {
            return pendingOffset() + (vectors + 63) / 64 * Long.BYTES;
        }
    }
}
