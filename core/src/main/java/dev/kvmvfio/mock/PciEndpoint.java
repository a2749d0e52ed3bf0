package dev.kvmvfio.mock;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The hardware's side of a modelled device: it raises interrupts and does DMA, as the device itself would, for tests of
 * what a program makes of it.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class PciEndpoint {
    private final Machine machine;
    private final PciFunction function;
    private boolean intx;

    PciEndpoint(Machine machine, PciFunction function) {
        this.machine = machine;
        this.function = function;
    }

    /**
     * Where the device is.
     *
     * @return such as {@code 0000:6a:01.0}
     */
    public String address() {
        return function.address();
    }

    /** Raises the INTx line and keeps it raised. */
    public void raiseIntx() {
        machine.locked(() -> {
            intx = true;
            interrupts().forEach(VfioInterrupts::lineRaised);
        });
    }

    /** Lowers the INTx line. */
    public void lowerIntx() {
        machine.locked(() -> {
            intx = false;
        });
    }

    boolean isIntxRaised() {
        return intx;
    }

    /**
     * Sends a message: MSI or MSI-X, whichever is enabled.
     *
     * @param vector the number of the interrupt, from 0
     * @return false when the message is lost: the program enabled neither, has no eventfd there, or did not allow the
     *         device to write to memory, which a message is, in the command register
     */
    public boolean sendMessage(int vector) {
        return machine.locked(
                () -> isBusMaster() && interrupts().stream().anyMatch(interrupts -> interrupts.message(vector)));
    }

    /**
     * Whether the program enabled messages, so that a device uses them and not its line.
     *
     * @return true when MSI or MSI-X is enabled
     */
    public boolean hasMessages() {
        return machine.locked(() -> interrupts().stream().anyMatch(VfioInterrupts::hasMessages));
    }

    private List<VfioInterrupts> interrupts() {
        return function.vfio() == null ? List.of() : List.of(function.vfio().interrupts());
    }

    /**
     * Reads memory by DMA.
     *
     * @param iova the I/O virtual address
     * @param into where to put the bytes; all of it is filled
     * @return false for a fault, which is recorded
     */
    public boolean read(long iova, MemorySegment into) {
        return machine.locked(() -> done(iova, false, blocked() ? blockedBy() : translation().read(iova, into)));
    }

    /**
     * Writes memory by DMA.
     *
     * @param iova the I/O virtual address
     * @param from the bytes
     * @return false for a fault, which is recorded
     */
    public boolean write(long iova, MemorySegment from) {
        return machine.locked(() -> done(iova, true, blocked() ? blockedBy() : translation().write(iova, from)));
    }

    private IovaMap translation() {
        return function.group() == null ? null : function.group().translation();
    }

    private boolean blocked() {
        return !isBusMaster() || translation() == null;
    }

    private String blockedBy() {
        return isBusMaster()
                ? "no IOMMU mapping is attached to the device"
                : "bus mastering is off in the command register";
    }

    private boolean isBusMaster() {
        return (function.config().command() & ConfigSpace.BUS_MASTER) != 0;
    }

    private boolean done(long iova, boolean write, String failure) {
        if (failure != null) {
            machine.dmaFaults().add(new DmaFault(address(), iova, write, failure));
        }
        return failure == null;
    }

    /**
     * The memory of a BAR, as the device sees it.
     *
     * @param index 0 to 5
     * @return the whole BAR, shared with the program; valid as long as the mock kernel is
     * @throws IllegalArgumentException when the BAR is not plain memory
     */
    public MemorySegment bar(int index) {
        return machine.locked(() -> {
            Bar bar = function.bar(index);
            if (bar == null || bar.spec().registers() != null) {
                throw new IllegalArgumentException("BAR " + index + " of " + address() + " is no memory");
            }
            return bar.content();
        });
    }

    /**
     * The host asks the program to give the device back, as it does before it takes a driver away.
     *
     * @return false when the program has no eventfd for it
     */
    public boolean requestRelease() {
        return machine.locked(() -> interrupts().stream().anyMatch(VfioInterrupts::request));
    }

    /**
     * The device reports an error that it cannot recover from.
     *
     * @return false when the program has no eventfd for it
     */
    public boolean reportError() {
        return machine.locked(() -> interrupts().stream().anyMatch(VfioInterrupts::error));
    }

    /**
     * Whether the device's driver knew the virtual machine when the program opened the device. A kernel does not
     * complain when it did not, and only some drivers fail; so this is for a test to assert.
     *
     * @return false while the device is not open, and when KVM got the file after the device was opened
     */
    public boolean wasOpenedForVm() {
        return machine.locked(() -> function.vfio() != null && function.vfio().vm() != null);
    }
}
