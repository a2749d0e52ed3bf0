package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.ParseException;

/** {@code kvm-vfio attach}: gives a device to a VM, shows how, and takes it back. */
final class AttachCommand extends Command {
    private static final int USUAL_MEMORY_MIB = 4;
    private static final Option INTERFACE = valued("interface", "auto|cdev|group",
            "How to reach the device: its cdev and iommufd, or its group and a container. auto prefers the cdev and says "
                    + "why it chose.");
    private static final Option MEMORY = valued("memory", "SIZE",
            "Guest memory such as 64M or 2G, which is pinned while the device is attached (default: " + USUAL_MEMORY_MIB
                    + "M).");
    private static final Option VERBOSE = Option.builder("v").longOpt("verbose")
            .desc("Print each system call to standard error as it returns, decoded; those that only read sysfs are left "
                    + "out.")
            .get();

    AttachCommand() {
        super("attach", DEVICE,
                "Attaches a device to a new virtual machine. Prints what each step answered and what the device is. On "
                        + "Enter, Ctrl-C or end of input it detaches the device, step by step back. The device must be "
                        + "bound to vfio-pci.",
                """
                        {address, vendorId, deviceId, interface, reason, canReset, steps: [{call, file, result}], \
                        regions: [{index, name, size, access, mappable: [{offset, length}]}], \
                        interrupts: [{index, name, count, maskable, automasked, noResize}]}; sizes in bytes, IDs in \
                        hexadecimal""",
                INTERFACE, MEMORY, VERBOSE);
    }

    @Override
    int run(Invocation invocation) throws IOException, ParseException {
        Optional<VfioInterface> forced = forced(invocation.value(INTERFACE, "auto"));
        long memory = invocation.memory(MEMORY, USUAL_MEMORY_MIB);
        Kernel host = invocation.isMock() ? MockKernel.example() : Kernel.linux();
        PciAddress address = address(invocation, host);
        Kernel kernel = invocation.has(VERBOSE)
                ? ObservedKernel.observe(host, call -> print(call, invocation.err()))
                : host;
        Report report = invocation.has(JSON) ? new JsonReport(invocation.out()) : new TextReport(invocation.out());
        try (AttachSession session = new AttachSession(host, kernel, report)) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> end(session)));
            session.attach(address, forced, memory);
            askForEnter(invocation);
            awaitEnterOrEnd();
        }
        return 0;
    }

    private static Optional<VfioInterface> forced(String choice) throws ParseException {
        return switch (choice) {
            case "auto" -> Optional.empty();
            case "cdev" -> Optional.of(VfioInterface.CDEV);
            case "group" -> Optional.of(VfioInterface.GROUP);
            default -> throw new ParseException("--interface is auto, cdev or group, not " + choice);
        };
    }

    private static PciAddress address(Invocation invocation, Kernel host) throws ParseException {
        List<PciDevice> devices = invocation.devices(host);
        if (devices.size() > 1) {
            throw new ParseException("attach takes one device, and " + invocation.parameters().getFirst() + " has "
                    + devices.size() + ": " + devices);
        }
        return devices.getFirst().address();
    }

    private static void print(SystemCall call, Output err) {
        if (!call.file().contains("/sys/")) {
            err.line(call.toString());
        }
    }

    /** Whoever sees no output because it goes to a file still learns what is waited for. */
    private static void askForEnter(Invocation invocation) {
        boolean seen = invocation.out().columns().isPresent() && !invocation.has(JSON);
        if (!seen && Terminal.columns(Terminal.INPUT).isPresent()) {
            invocation.err().line("kvm-vfio: attached. Press Enter to detach.");
        }
    }

    /** A process that ends by Ctrl-C would exit with the signal's code, though everything was undone. */
    private static void end(AttachSession session) {
        if (session.isOpen()) {
            int code = 0;
            try {
                session.close();
            } catch (RuntimeException failure) {
                KvmVfioCommand.errors().line("kvm-vfio: " + failure.getMessage());
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
