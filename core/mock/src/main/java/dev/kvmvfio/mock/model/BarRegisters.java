package dev.kvmvfio.mock.model;

/**
 * The registers behind a BAR of a modelled device. They are reached by reading and writing the region; such a BAR
 * cannot be mapped, because plain memory would not notice an access. It is told to the program in the usual way, by a
 * region without {@code VFIO_REGION_INFO_FLAG_MMAP}; mapping it all the same throws a {@link NotModelledException}.
 *
 * <p><b>Thread-safety:</b> the mock kernel calls one method at a time.
 */
public interface BarRegisters {
    /**
     * The program reads.
     *
     * @param device the device, to raise interrupts and do DMA with
     * @param offset into the BAR, a multiple of the size
     * @param size 1, 2, 4 or 8 bytes
     * @return the value
     */
    long read(PciEndpoint device, long offset, int size);

    /**
     * The program writes.
     *
     * @param device the device, to raise interrupts and do DMA with
     * @param offset into the BAR, a multiple of the size
     * @param size 1, 2, 4 or 8 bytes
     * @param value the value
     */
    void write(PciEndpoint device, long offset, int size, long value);

    /** The device is reset: the registers take the values that they have after power-on. */
    void reset();
}
