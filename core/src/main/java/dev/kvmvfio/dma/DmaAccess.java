package dev.kvmvfio.dma;

/** What a device may do with memory that is mapped for it. */
public enum DmaAccess {
    /** The device may read. */
    READ,
    /** The device may write. */
    WRITE,
    /** The device may read and write. */
    READ_WRITE;

    /**
     * Whether the device may read.
     *
     * @return true but for {@link #WRITE}
     */
    public boolean reads() {
        return this != WRITE;
    }

    /**
     * Whether the device may write.
     *
     * @return true but for {@link #READ}
     */
    public boolean writes() {
        return this != READ;
    }
}
