package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code kvm-vfio bind}: takes a device from the host. */
@Command(name = "bind", mixinStandardHelpOptions = true, description = "Gives a device to vfio-pci, by driver_override, so that it can be attached. Needs root. A device that the host uses (a mounted disk or swap, the way to the network, the screen, an attached device) is refused.")
final class BindCommand implements Callable<Integer> {
    private static final String VFIO_PCI = "vfio-pci";

    @Mixin
    private HostOptions host;

    @Parameters(paramLabel = "ADDRESS", converter = AddressConverter.class, description = "The device, such as 0000:6a:01.0.")
    private PciAddress address;

    @Option(names = "--force", description = "Take it even if the host uses it. That can cost data, the network or the screen.")
    private boolean force;

    @Override
    public Integer call() {
        BindReport report = host.onHost(this::bind);
        host.report(report, () -> {
            report.print(host);
            report.blockers().forEach(blocker -> host.line(
                    "%s is in the same IOMMU group %d and blocks it: kvm-vfio bind %1$s", blocker,
                    report.iommuGroup()));
        });
        return 0;
    }

    private BindReport bind(Kernel kernel) {
        PciDevice device = PciDevice.find(kernel, address);
        DriverBinding before = DriverBinding.of(device);
        if (before.driver().filter(VFIO_PCI::equals).isEmpty()) {
            before = force ? DriverBinding.giveInUse(device, VFIO_PCI) : DriverBinding.give(device, VFIO_PCI);
            if (!host.isMock()) {
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
