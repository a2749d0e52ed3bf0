package dev.kvmvfio.vmm;

/** Something at I/O ports. A size is 1, 2 or 4 bytes, an offset counts from the device's first port. */
@FunctionalInterface
public interface PortDevice {
    /**
     * The guest reads. What cannot be read answers as if nothing was there.
     *
     * @param offset of the port
     * @param size how many bytes
     * @return the value, in its lowest bytes
     */
    default int read(int offset, int size) {
        return IoPorts.NOTHING;
    }

    /**
     * The guest writes.
     *
     * @param offset of the port
     * @param size how many bytes
     * @param value in its lowest bytes
     */
    void write(int offset, int size, int value);
}
