package dev.kvmvfio.mock;

/**
 * What the code in a virtual machine would do and see. No guest code runs on the mock kernel, so a test does it
 * instead.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class MockGuest {
    private final Machine machine;
    private final Vm vm;

    MockGuest(Machine machine, Vm vm) {
        this.machine = machine;
        this.vm = vm;
    }

    /**
     * How many interrupts the guest got.
     *
     * @param gsi the global system interrupt
     * @return the number since the VM was made
     */
    public long interrupts(int gsi) {
        return machine.locked(() -> vm.interrupts().count(gsi));
    }

    /**
     * The guest is done with an interrupt. Its line falls, and the eventfd for that is signalled.
     *
     * @param gsi the global system interrupt
     */
    public void acknowledge(int gsi) {
        machine.locked(() -> vm.irqFds().acknowledge(gsi));
    }

    /**
     * The guest writes to an address that is not memory.
     *
     * @param guestPhysicalAddress where, in bytes
     * @param length 1, 2, 4 or 8 bytes
     * @param value what
     * @return whether an eventfd took the write; otherwise the program would have to
     */
    public boolean writeMmio(long guestPhysicalAddress, int length, long value) {
        return machine.locked(() -> vm.ioEventFds().write(false, guestPhysicalAddress, length, value));
    }

    /**
     * The guest writes to a port.
     *
     * @param port its number
     * @param length 1, 2 or 4 bytes
     * @param value what
     * @return whether an eventfd took the write; otherwise the program would have to
     */
    public boolean writePort(int port, int length, long value) {
        return machine.locked(() -> vm.ioEventFds().write(true, port, length, value));
    }
}
