package dev.kvmvfio.it.vmm;

/** Something at I/O ports. A size is 1, 2 or 4 bytes, an offset counts from the device's first port. */
interface PortDevice {
    /** What cannot be read answers as if nothing was there. */
    default int read(int offset, int size) {
        return IoPorts.NOTHING;
    }

    void write(int offset, int size, int value);
}
