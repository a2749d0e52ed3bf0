package dev.kvmvfio.mock.internal.pci;

import java.util.Set;

/** A driver of the host's own. */
final class HostDriver implements PciDriver {
    /** Drivers that leave a device's DMA alone, and so do not stand in the way of a group's other user. */
    private static final Set<String> HARMLESS = Set.of("pci-stub", "pcieport");

    private final boolean doesDma;

    HostDriver(String name) {
        this.doesDma = !HARMLESS.contains(name);
    }

    @Override
    public PciClient bind(PciFunction function) {
        if (doesDma && function.group() != null) {
            function.group().useByHost();
        }
        return PciClient.NONE;
    }

    @Override
    public void unbind(PciFunction function) {
        if (doesDma && function.group() != null) {
            function.group().release();
        }
    }
}
