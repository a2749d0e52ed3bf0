package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code kvm-vfio unbind}: gives a device back to the host. */
@Command(name = "unbind", mixinStandardHelpOptions = true, description = "Gives a device that vfio-pci has back to the driver that it had before bind, or to the one that suits it. Needs root. A device that a program has open is refused.")
final class UnbindCommand implements Callable<Integer> {
    @Mixin
    private HostOptions host;

    @Parameters(paramLabel = "ADDRESS", converter = AddressConverter.class, description = "The device, such as 0000:6a:01.0.")
    private PciAddress address;

    @Override
    public Integer call() {
        BindReport report = host.onHost(this::unbind);
        host.report(report, () -> report.print(host));
        return 0;
    }

    private BindReport unbind(Kernel kernel) {
        PciDevice device = PciDevice.find(kernel, address);
        DriverBinding before = DriverBinding.of(device);
        if (device.vfioName().isEmpty()) {
            throw new HostException(address + " is bound to "
                    + before.driver().map(name -> "the driver " + name).orElse("no driver") + ", not to vfio-pci", "");
        }
        Optional<DriverBinding> remembered = host.isMock() ? Optional.empty() : PreviousBinding.load(device);
        if (remembered.isPresent()) {
            remembered.get().restore();
            PreviousBinding.forget(device);
        } else {
            DriverBinding.release(device);
        }
        return BindReport.of(device, before);
    }
}
