package dev.kvmvfio.mock;

/** A driver that is registered with the bus. */
interface PciDriver {
    /** Takes a device, or refuses to; answers who gets the device's signals from then on. */
    PciClient bind(PciFunction function);

    /** Gives a device back. */
    void unbind(PciFunction function);
}
