package dev.kvmvfio.mock.internal.pci;

/** A driver that is registered with the bus. */
public interface PciDriver {
    /** Takes a device, or refuses to; answers who gets the device's signals from then on. */
    PciClient bind(PciFunction function);

    /** Gives a device back. */
    void unbind(PciFunction function);
}
