package dev.kvmvfio.cli;

import dev.kvmvfio.cli.BindReport.Bound;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.commons.cli.ParseException;

/** {@code kvm-vfio unbind}: gives devices back to the host. */
final class UnbindCommand extends Command {
    UnbindCommand() {
        super("unbind", DEVICES,
                "Gives devices back from vfio-pci to the host, one after the other. Each gets the driver that it had before "
                        + "bind, or the one that suits it. Needs root. A device that a program has open is refused. What "
                        + "bind --persist wrote is removed.",
                BindReport.JSON, BindCommand.GROUP);
    }

    @Override
    int run(Invocation invocation) throws ParseException {
        BindReport report = invocation.onHost(kernel -> {
            List<Bound> bound = new ArrayList<>();
            for (PciDevice device : BindCommand.devices(invocation, kernel)) {
                // Of a group, what the host's drivers have is not meant.
                if (!invocation.has(BindCommand.GROUP) || device.vfioName().isPresent()) {
                    bound.add(unbind(invocation, device));
                }
            }
            return new BindReport(bound);
        });
        invocation.report(report, () -> report.devices().forEach(bound -> invocation.out().line(bound.line())));
        return 0;
    }

    private static Bound unbind(Invocation invocation, PciDevice device) {
        DriverBinding before = DriverBinding.of(device);
        Optional<DriverBinding> remembered = invocation.isMock()
                ? Optional.empty()
                : PreviousBinding.OF_THE_HOST.load(device);
        if (device.vfioName().isEmpty() && remembered.isEmpty()) {
            throw new HostException(device + " is bound to "
                    + before.driver().map(name -> "the driver " + name).orElse("no driver") + ", not to vfio-pci", "");
        }
        if (remembered.isPresent()) {
            remembered.get().restore();
        } else {
            DriverBinding.unbind(device);
        }
        if (!invocation.isMock()) {
            PreviousBinding.OF_THE_HOST.forget(device);
            BootRule.OF_THE_HOST.remove(device);
        }
        return Bound.of(device, before);
    }
}
