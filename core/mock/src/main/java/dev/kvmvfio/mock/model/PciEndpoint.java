package dev.kvmvfio.mock.model;

import java.lang.foreign.MemorySegment;

/**
 * The hardware's side of a modelled device: it raises interrupts and does DMA, as the device itself would, for tests of
 * what a program makes of it.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public interface PciEndpoint {
    /**
     * Where the device is.
     *
     * @return such as {@code 0000:6a:01.0}
     */
    String address();

    /** Raises the INTx line and keeps it raised. */
    void raiseIntx();

    /** Lowers the INTx line. */
    void lowerIntx();

    /**
     * Sends a message: MSI or MSI-X, whichever is enabled.
     *
     * @param vector the number of the interrupt, from 0
     * @return false when the message is lost: the program enabled neither, has no eventfd there, or did not allow the
     *         device to write to memory, which a message is, in the command register
     */
    boolean sendMessage(int vector);

    /**
     * Whether the program enabled messages, so that a device uses them and not its line.
     *
     * @return true when MSI or MSI-X is enabled
     */
    boolean hasMessages();

    /**
     * Reads memory by DMA.
     *
     * @param iova the I/O virtual address
     * @param into where to put the bytes; all of it is filled
     * @return false for a fault, which is recorded
     */
    boolean read(long iova, MemorySegment into);

    /**
     * Writes memory by DMA.
     *
     * @param iova the I/O virtual address
     * @param from the bytes
     * @return false for a fault, which is recorded
     */
    boolean write(long iova, MemorySegment from);

    /**
     * The memory of a BAR, as the device sees it.
     *
     * @param index 0 to 5
     * @return the whole BAR, shared with the program; valid as long as the mock kernel is
     * @throws IllegalArgumentException when the BAR is not plain memory
     */
    MemorySegment bar(int index);

    /**
     * The host asks the program to give the device back, as it does before it takes a driver away.
     *
     * @return false when the program has no eventfd for it
     */
    boolean requestRelease();

    /**
     * The device reports an error that it cannot recover from.
     *
     * @return false when the program has no eventfd for it
     */
    boolean reportError();

    /**
     * Whether the device's driver knew the virtual machine when the program opened the device. A kernel does not
     * complain when it did not, and only some drivers fail; so this is for a test to assert.
     *
     * @return false while the device is not open, and when KVM got the file after the device was opened
     */
    boolean wasOpenedForVm();
}
