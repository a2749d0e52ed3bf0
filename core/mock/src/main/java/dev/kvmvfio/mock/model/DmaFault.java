package dev.kvmvfio.mock.model;

/**
 * An access of a device to memory that the IOMMU, or the device's own configuration, did not let through. A real kernel
 * writes it to its log and tells nobody else.
 *
 * @param device the device's address
 * @param iova the first I/O virtual address of the access
 * @param isWrite whether the device tried to write
 * @param reason why it failed, in words
 */
public record DmaFault(String device, long iova, boolean isWrite, String reason) {
    @Override
    public String toString() {
        return String.format("%s: DMA %s of 0x%x: %s", device, isWrite ? "write" : "read", iova, reason);
    }
}
