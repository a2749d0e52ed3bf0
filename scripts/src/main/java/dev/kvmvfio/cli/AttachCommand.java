package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code kvm-vfio attach}: gives a device to a VM, shows how, and takes it back. */
@Command(name = "attach", mixinStandardHelpOptions = true, description = "Attaches a device to a new virtual machine, says what each step answered and what the device is, "
        + "and on Enter, Ctrl-C or end of input undoes the same in reverse order.")
final class AttachCommand implements Callable<Integer> {
    private enum Choice {
        AUTO, CDEV, GROUP;

        Optional<VfioInterface> forced() {
            return this == AUTO ? Optional.empty() : Optional.of(VfioInterface.valueOf(name()));
        }
    }

    @Parameters(paramLabel = "ADDRESS", converter = AddressConverter.class, description = "The device, such as 0000:6a:01.0; it must be bound to vfio-pci.")
    private PciAddress address;

    @Option(names = "--interface", paramLabel = "auto|cdev|group", defaultValue = "auto", description = "How to reach the device: its cdev and iommufd, or its group and a container. "
            + "auto prefers the cdev and says why it chose.")
    private Choice choice;

    @Option(names = "--memory", paramLabel = "MIB", defaultValue = "4", description = "Guest memory in MiB, which is pinned while the device is attached (default: ${DEFAULT-VALUE}).")
    private int memoryMib;

    @Option(names = "--mock", description = "Do it on the embedded model of a kernel, whose host has 0000:6a:01.0.")
    private boolean mock;

    @Option(names = {"-v",
        "--verbose"}, description = "Print each system call to standard error as it returns, decoded; those that only read sysfs are left out.")
    private boolean verbose;

    @Option(names = "--json", description = "Print one JSON document instead of lines.")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        if (memoryMib < 1) {
            throw new ParameterException(spec.commandLine(), "--memory needs at least 1 MiB, not " + memoryMib);
        }
        PrintWriter out = spec.commandLine().getOut();
        Kernel host = mock ? MockKernel.example() : Kernel.linux();
        Report report = json ? new JsonReport(out) : new TextReport(out);
        try (AttachSession session = new AttachSession(host, verbose ? observe(host) : host, report)) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> end(session)));
            session.attach(address, choice.forced(), (long) memoryMib << 20);
            awaitEnterOrEnd();
        }
        return 0;
    }

    private Kernel observe(Kernel host) {
        PrintWriter err = spec.commandLine().getErr();
        return ObservedKernel.of(host, call -> print(call, err));
    }

    private static void print(SystemCall call, PrintWriter err) {
        if (!call.file().contains("/sys/")) {
            err.println(call);
        }
    }

    /** A process that ends by Ctrl-C would exit with the signal's code, though everything was undone. */
    private static void end(AttachSession session) {
        if (session.isOpen()) {
            int code = 0;
            try {
                session.close();
            } catch (RuntimeException failure) {
                System.err.println("kvm-vfio: " + failure.getMessage());
                code = KvmVfioCommand.REFUSED;
            }
            Runtime.getRuntime().halt(code);
        }
    }

    private static void awaitEnterOrEnd() throws IOException {
        int read;
        do {
            read = System.in.read();
        } while (read != -1 && read != '\n');
    }
}
