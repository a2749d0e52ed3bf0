package dev.kvmvfio.dma;

/**
 * Addresses that can be mapped for a device.
 *
 * @param first the first address, in bytes
 * @param last the last address, in bytes; unsigned, as the first
 */
public record IovaRange(long first, long last) {
    /**
     * Whether a mapping fits into this range.
     *
     * @param iova its first address
     * @param size its size in bytes, positive
     * @return true when all of it does
     */
    public boolean contains(long iova, long size) {
        return Long.compareUnsigned(iova, first) >= 0 && Long.compareUnsigned(iova, last) <= 0
                && Long.compareUnsigned(size - 1, last - iova) <= 0;
    }

    @Override
    public String toString() {
        return String.format("0x%x..0x%x", first, last);
    }
}
