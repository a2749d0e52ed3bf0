package dev.kvmvfio.cli;

import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.ParseException;

/** {@code kvm-vfio bind}: takes a device from the host. */
final class BindCommand extends Command {
    private static final String VFIO_PCI = "vfio-pci";
    private static final Option FORCE = flag("force",
            "Take it even if the host uses it. That can cost data, the network or the screen.");

    BindCommand() {
        super("bind", "ADDRESS",
                "Gives the device at ADDRESS (such as 0000:6a:01.0) to vfio-pci, by driver_override, so that it can be "
                        + "attached. Needs root. A device that the host uses (a mounted disk or swap, the way to the network, "
                        + "the screen, an attached device) is refused.",
                BindReport.JSON, FORCE);
    }

    @Override
    int run(Invocation invocation) throws ParseException {
        PciAddress address = invocation.address();
        BindReport report = invocation.onHost(kernel -> bind(invocation, PciDevice.find(kernel, address)));
        invocation.report(report, () -> {
            report.print(invocation);
            report.blockers().forEach(blocker -> invocation.println(
                    "%s is in the same IOMMU group %d and blocks it: kvm-vfio bind %1$s", blocker,
                    report.iommuGroup()));
        });
        return 0;
    }

    private static BindReport bind(Invocation invocation, PciDevice device) {
        DriverBinding before = DriverBinding.of(device);
        if (before.driver().filter(VFIO_PCI::equals).isEmpty()) {
            before = invocation.has(FORCE)
                    ? DriverBinding.bindByForce(device, VFIO_PCI)
                    : DriverBinding.bind(device, VFIO_PCI);
            if (!invocation.isMock()) {
                remember(before);
            }
        }
        return BindReport.of(device, before);
    }

    /** What cannot be undone later is undone now. */
    private static void remember(DriverBinding before) {
        try {
            PreviousBinding.save(before);
        } catch (RuntimeException failure) {
            before.restore();
            throw failure;
        }
    }
}
