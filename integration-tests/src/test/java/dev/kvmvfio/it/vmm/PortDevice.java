package dev.kvmvfio.it.vmm;

/** Something at I/O ports. A size is 1, 2 or 4 bytes, an offset counts from the device's first port. */
interface PortDevice {
    int read(int offset, int size);

    void write(int offset, int size, int value);
}
