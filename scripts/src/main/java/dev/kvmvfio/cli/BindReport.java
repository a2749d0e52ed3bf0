package dev.kvmvfio.cli;

import dev.kvmvfio.cli.BindReport.Bound;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.IommuGroup;
import dev.kvmvfio.pci.PciDevice;
import java.util.List;
import java.util.Objects;

/** What {@code bind} and {@code unbind} did. */
record BindReport(List<Bound> devices) {
    static final String JSON = "{devices: [{address, driver, previousDriver, iommuGroup, blockers: [address]}]}; no driver "
            + "and no group are null";

    /** One device. */
    record Bound(String address, String driver, String previousDriver, Integer iommuGroup, List<String> blockers) {
        static Bound of(PciDevice device, DriverBinding before) {
            return of(device, device.driver().orElse(null), before);
        }

        /** With the driver that it would have. */
        static Bound of(PciDevice device, String driver, DriverBinding before) {
            return new Bound(device.toString(), driver, before.driver().orElse(null),
                    device.iommuGroup().map(IommuGroup::number).orElse(null),
                    device.iommuGroup().map(IommuGroup::blockers).orElse(List.of()).stream().map(PciDevice::toString)
                            .toList());
        }

        String line() {
            return Objects.equals(driver, previousDriver)
                    ? address + ": " + name(driver) + " already"
                    : address + ": " + name(driver) + ", before " + name(previousDriver);
        }

        private static String name(String driver) {
            return driver == null ? "no driver" : driver;
        }
    }
}
