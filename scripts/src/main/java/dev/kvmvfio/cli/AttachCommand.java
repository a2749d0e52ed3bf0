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
import org.apache.commons.cli.Option;
import org.apache.commons.cli.ParseException;

/** {@code kvm-vfio attach}: gives a device to a VM, shows how, and takes it back. */
final class AttachCommand extends Command {
    private static final int USUAL_MEMORY_MIB = 4;
    private static final Option INTERFACE = valued("interface", "auto|cdev|group",
            "How to reach the device: its cdev and iommufd, or its group and a container. auto prefers the cdev and says "
                    + "why it chose.");
    private static final Option MEMORY = valued("memory", "MIB",
            "Guest memory in MiB, which is pinned while the device is attached (default: " + USUAL_MEMORY_MIB + ").");
    private static final Option VERBOSE = Option.builder("v").longOpt("verbose")
            .desc("Print each system call to standard error as it returns, decoded; those that only read sysfs are left "
                    + "out.")
            .get();

    AttachCommand() {
        super("attach", "ADDRESS",
                "Attaches the device at ADDRESS (such as 0000:6a:01.0) to a new virtual machine. Says what each step "
                        + "answered and what the device is, and on Enter, Ctrl-C or end of input undoes the same in reverse "
                        + "order. The device must be bound to vfio-pci.",
                """
                        {address, vendorId, deviceId, interface, reason, canReset, steps: [{call, file, result}], \
                        regions: [{index, name, size, access, mappable: [{offset, length}]}], \
                        interrupts: [{index, name, count, maskable, automasked, noResize}]}; sizes in bytes""",
                INTERFACE, MEMORY, VERBOSE);
    }

    @Override
    int run(Invocation invocation) throws IOException, ParseException {
        PciAddress address = invocation.address();
        Optional<VfioInterface> forced = forced(invocation.value(INTERFACE, "auto"));
        long memory = invocation.memory(MEMORY, USUAL_MEMORY_MIB);
        Kernel host = invocation.isMock() ? MockKernel.example() : Kernel.linux();
        Kernel kernel = invocation.has(VERBOSE)
                ? ObservedKernel.observe(host, call -> print(call, invocation.err()))
                : host;
        Report report = invocation.has(JSON) ? new JsonReport(invocation.out()) : new TextReport(invocation.out());
        try (AttachSession session = new AttachSession(host, kernel, report)) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> end(session)));
            session.attach(address, forced, memory);
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
