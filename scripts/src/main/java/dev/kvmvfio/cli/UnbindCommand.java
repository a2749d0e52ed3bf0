package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import java.util.Optional;
import org.apache.commons.cli.ParseException;

/** {@code kvm-vfio unbind}: gives a device back to the host. */
final class UnbindCommand extends Command {
    UnbindCommand() {
        super("unbind", "ADDRESS",
                "Gives the device at ADDRESS (such as 0000:6a:01.0) back from vfio-pci to the host. It "
                        + "gets the driver that it had before bind, or the one that suits it. Needs root. A device that a program "
                        + "has open is refused.",
                BindReport.JSON);
    }

    @Override
    int run(Invocation invocation) throws ParseException {
        PciAddress address = invocation.address();
        BindReport report = invocation.onHost(kernel -> unbind(invocation, PciDevice.find(kernel, address)));
        invocation.report(report, () -> report.print(invocation));
        return 0;
    }

    private static BindReport unbind(Invocation invocation, PciDevice device) {
        DriverBinding before = DriverBinding.of(device);
        if (device.vfioName().isEmpty()) {
            throw new HostException(device + " is bound to "
                    + before.driver().map(name -> "the driver " + name).orElse("no driver") + ", not to vfio-pci", "");
        }
        Optional<DriverBinding> remembered = invocation.isMock() ? Optional.empty() : PreviousBinding.load(device);
        if (remembered.isPresent()) {
            remembered.get().restore();
            PreviousBinding.forget(device);
        } else {
            DriverBinding.unbind(device);
        }
        return BindReport.of(device, before);
    }
}
