package dev.kvmvfio.cli;

import dev.kvmvfio.cli.BindReport.Bound;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.ParseException;

/** {@code kvm-vfio bind}: takes devices from the host. */
final class BindCommand extends Command {
    private static final String VFIO_PCI = "vfio-pci";
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9_-]*");
    static final Option GROUP = flag("group",
            "Take all devices of the IOMMU groups, which go to one user together.");
    private static final Option DRIVER = valued("driver", "DRIVER",
            "Give them to this driver (default: " + VFIO_PCI + "), such as a vendor's own VFIO driver.");
    private static final Option DRY_RUN = flag("dry-run",
            "Only check whether it could be done, and say what would be.");
    private static final Option PERSIST = flag("persist",
            "Do it again each time the machine boots, by a rule of udev in /etc/udev/rules.d; unbind removes it. A driver "
                    + "that the initramfs loads comes before the rule: add the rule to the initramfs too.");
    private static final Option FORCE = flag("force",
            "Take them even if the host uses them. That can cost data, the network or the screen.");

    BindCommand() {
        super("bind", DEVICES,
                "Gives devices to " + VFIO_PCI
                        + ", by driver_override, so that they can be attached: all of them or none. "
                        + "Needs root. A device that the host uses (a mounted disk or swap, the way to the network, the "
                        + "screen, an attached device) is refused.",
                BindReport.JSON, GROUP, DRIVER, DRY_RUN, PERSIST, FORCE);
    }

    @Override
    int run(Invocation invocation) throws ParseException {
        String driver = invocation.value(DRIVER, VFIO_PCI);
        if (!NAME.matcher(driver).matches()) {
            throw new ParseException("--driver is the name of a driver, not " + driver);
        }
        BindReport report = invocation.onHost(kernel -> new BindReport(bind(invocation, devices(invocation, kernel),
                driver)));
        invocation.report(report, () -> {
            report.devices().forEach(bound -> invocation.out().line(
                    (invocation.has(DRY_RUN) ? "would do: " : "") + bound.line()));
            report.devices().stream().filter(_ -> !invocation.has(DRY_RUN)).flatMap(bound -> bound.blockers().stream()
                    .map(blocker -> blocker + " is in the same IOMMU group " + bound.iommuGroup()
                            + " and blocks it: kvm-vfio bind " + blocker))
                    .distinct().forEach(invocation.out()::line);
        });
        return 0;
    }

    static List<PciDevice> devices(Invocation invocation, Kernel kernel) throws ParseException {
        List<PciDevice> named = invocation.devices(kernel);
        return invocation.has(GROUP) ? DeviceNames.withGroups(named) : named;
    }

    private static List<Bound> bind(Invocation invocation, List<PciDevice> devices, String driver) {
        if (invocation.has(DRY_RUN)) {
            devices.forEach(device -> require(invocation, device, driver));
            return devices.stream().map(device -> Bound.of(device, driver, DriverBinding.of(device))).toList();
        }
        List<DriverBinding> before = new ArrayList<>();
        try {
            for (PciDevice device : devices) {
                before.add(bind(invocation, device, driver));
                if (invocation.has(PERSIST) && !invocation.isMock()) {
                    BootRule.OF_THE_HOST.write(device, driver);
                }
            }
        } catch (RuntimeException failure) {
            before.reversed().forEach(binding -> giveBack(invocation, binding, failure));
            throw failure;
        }
        return before.stream().map(binding -> Bound.of(binding.device(), binding)).toList();
    }

    /** What the library would refuse. */
    private static void require(Invocation invocation, PciDevice device, String driver) {
        Set<String> uses = new TreeSet<>(device.uses());
        if (!uses.isEmpty() && !invocation.has(FORCE)) {
            throw new HostException(device + " is in use: " + String.join(", ", uses), "End that first");
        }
        if (device.isBridge()) {
            throw new HostException(device + " is a bridge, which " + driver + " does not take",
                    "Give away the devices behind it");
        }
        if (device.iommuGroup().isEmpty()) {
            throw new HostException(device + " is in no IOMMU group", "kvm-vfio doctor says why");
        }
    }

    private static DriverBinding bind(Invocation invocation, PciDevice device, String driver) {
        DriverBinding before = DriverBinding.of(device);
        if (before.driver().filter(driver::equals).isEmpty()) {
            before = invocation.has(FORCE)
                    ? DriverBinding.bindByForce(device, driver)
                    : DriverBinding.bind(device, driver);
            if (!invocation.isMock()) {
                remember(before);
            }
        }
        return before;
    }

    /** What cannot be undone later is undone now. */
    private static void remember(DriverBinding before) {
        try {
            PreviousBinding.OF_THE_HOST.save(before);
        } catch (RuntimeException failure) {
            before.restore();
            throw failure;
        }
    }

    private static void giveBack(Invocation invocation, DriverBinding before, RuntimeException failure) {
        try {
            if (!DriverBinding.of(before.device()).equals(before)) {
                before.restore();
                if (!invocation.isMock()) {
                    PreviousBinding.OF_THE_HOST.forget(before.device());
                    BootRule.OF_THE_HOST.remove(before.device());
                }
            }
        } catch (RuntimeException later) {
            failure.addSuppressed(later);
        }
    }
}
