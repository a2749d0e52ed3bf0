package dev.kvmvfio.cli;

import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.IommuGroup;
import dev.kvmvfio.pci.PciDevice;
import java.util.List;

/** What {@code bind} and {@code unbind} did. */
record BindReport(String address, String driver, String previousDriver, Integer iommuGroup, List<String> blockers) {
    static final String JSON = "{address, driver, previousDriver, iommuGroup, blockers: [address]}; no driver and no group are null";

    static BindReport of(PciDevice device, DriverBinding before) {
        return new BindReport(device.toString(), device.driver().orElse(null), before.driver().orElse(null),
                device.iommuGroup().map(IommuGroup::number).orElse(null),
                device.iommuGroup().map(IommuGroup::blockers).orElse(List.of()).stream().map(PciDevice::toString)
                        .toList());
    }

    void print(Invocation invocation) {
        invocation.println("%s: %s, before %s", address, name(driver), name(previousDriver));
    }

    private static String name(String driver) {
        return driver == null ? "no driver" : driver;
    }
}
