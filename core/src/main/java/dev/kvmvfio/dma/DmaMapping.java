package dev.kvmvfio.dma;

import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.Handle;

/**
 * Memory that devices reach at an IOVA. Closing it takes the memory out of their reach ({@code IOMMU_IOAS_UNMAP}, or
 * {@code VFIO_IOMMU_UNMAP_DMA} of a container); when the close has returned no device can read or write it any more.
 */
public final class DmaMapping extends Handle {
    private final DmaSpace space;
    private final long size;
    private volatile long iova;

    DmaMapping(DmaSpace space, long iova, long size) {
        super(Rank.LINK);
        this.space = space;
        this.iova = iova;
        this.size = size;
    }

    /**
     * Where the devices see the memory.
     *
     * @return an I/O virtual address in bytes
     */
    public long iova() {
        return iova;
    }

    /**
     * How much they see.
     *
     * @return bytes
     */
    public long size() {
        return size;
    }

    void setIova(long chosen) {
        iova = chosen;
    }

    boolean overlaps(long start, long bytes) {
        return Long.compareUnsigned(start, iova + size) < 0 && Long.compareUnsigned(iova, start + bytes) < 0;
    }

    /** Where the kernel was to choose and did not say, there is no address by which it could be taken back. */
    @Override
    protected void release() {
        if (iova != DmaSpace.ANYWHERE) {
            space.unmap(this);
        }
    }

    @Override
    public String toString() {
        return String.format("DMA mapping of 0x%x bytes at IOVA 0x%x in %s", size, iova, space);
    }
}
