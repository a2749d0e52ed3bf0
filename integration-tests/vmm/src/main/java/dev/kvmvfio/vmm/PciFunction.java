package dev.kvmvfio.vmm;

/**
 * What is in a slot of the guest's PCI bus: a device of the host, or one that a program plays. The bus calls it from one
 * thread at a time.
 */
public interface PciFunction {
    /**
     * The guest reads the configuration space.
     *
     * @param offset from 0 to 255
     * @param size 1, 2 or 4 bytes
     * @return the value, in its lowest bytes
     */
    int readConfig(int offset, int size);

    /**
     * The guest writes the configuration space.
     *
     * @param offset from 0 to 255
     * @param size 1, 2 or 4 bytes
     * @param value in its lowest bytes
     */
    void writeConfig(int offset, int size, int value);

    /**
     * Whether the guest has placed a BAR there.
     *
     * @param address guest-physical
     * @return whether the device answers
     */
    boolean contains(long address);

    /**
     * The guest reads what no memory slot covers.
     *
     * @param address guest-physical, which the function {@link #contains}
     * @param length 1, 2, 4 or 8 bytes
     * @return the value, in its lowest bytes
     */
    long readMemory(long address, int length);

    /**
     * The guest writes what no memory slot covers.
     *
     * @param address guest-physical, which the function {@link #contains}
     * @param length 1, 2, 4 or 8 bytes
     * @param value in its lowest bytes
     */
    void writeMemory(long address, int length, long value);
}
