package dev.kvmvfio.vmm;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KvmVfioException;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.commons.cli.CommandLine;
import org.apache.commons.cli.DefaultParser;
import org.apache.commons.cli.HelpFormatter;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.apache.commons.cli.ParseException;

/** The program: boots Linux with devices of the host, and prints the guest's serial console. */
public final class LinuxVmm {
    static final int REFUSED = 1;
    static final int WRONG_USAGE = 2;
    /** The first slot of the guest's PCI bus that is used: in a PC, slot 0 is the host bridge's. */
    private static final int FIRST_SLOT = 1;

    private static final Option DEVICE = option("device", "ADDRESS",
            "A PCI device that is bound to vfio-pci; once more "
                    + "for each other one. The first is 0000:00:01.0 in the guest, the second 0000:00:02.0, and so on.");
    private static final Option INTERFACE = option("interface", "cdev|group", "How they are attached; default: cdev.");
    private static final Option MEMORY = option("memory", "MIB", "The guest's memory in MiB; default: 256.");
    private static final Option APPEND = option("append", "ARGUMENTS", "More arguments for the kernel.");
    private static final Option COMMAND = option("command", "SCRIPT",
            "Put into the initial RAM disk as /command, for an init that runs it.");
    private static final Option HELP = Option.builder("h").longOpt("help").desc("Tell all this.").get();
    private static final Options OPTIONS = new Options().addOption(DEVICE).addOption(INTERFACE).addOption(MEMORY)
            .addOption(APPEND).addOption(COMMAND).addOption(HELP);
    private static final int WIDTH = 100;

    private LinuxVmm() {
    }

    private static Option option(String name, String value, String description) {
        return Option.builder().longOpt(name).hasArg().argName(value).desc(description).get();
    }

    /**
     * Runs the program and ends the process: with 0 when the guest has reset its machine, 1 when it could not run, 2 on
     * wrong usage.
     *
     * @param arguments the command line; {@code --help} tells what it may be
     */
    public static void main(String[] arguments) {
        System.exit(run(Kernel.linux(), arguments, System.out, System.err));
    }

    /** Tells the exit code. */
    static int run(Kernel kernel, String[] arguments, PrintStream out, PrintStream err) {
        try {
            CommandLine line = new DefaultParser().parse(OPTIONS, arguments);
            if (line.hasOption(HELP)) {
                printHelp(out);
            } else {
                boot(kernel, line, out);
            }
            return 0;
        } catch (ParseException wrong) {
            err.println("vmm: " + wrong.getMessage());
            printHelp(err);
            return WRONG_USAGE;
        } catch (KvmVfioException | IllegalArgumentException | IOException refused) {
            err.println("vmm: " + refused.getMessage());
            return REFUSED;
        }
    }

    // The formatter that is not deprecated prints a table with titles, and blanks at the ends of lines.
    @SuppressWarnings("deprecation")
    private static void printHelp(PrintStream out) {
        HelpFormatter formatter = HelpFormatter.builder().get();
        formatter.setOptionComparator(null);
        formatter.setSyntaxPrefix("Usage: ");
        PrintWriter writer = new PrintWriter(out, true);
        formatter.printHelp(writer, WIDTH, "vmm [OPTION…] VMLINUZ INITRAMFS",
                "\nBoots 64-bit Linux on /dev/kvm with devices of this host, prints its serial console, and ends when "
                        + "the guest resets its machine.\n\n",
                OPTIONS, 2, 2, "");
        writer.flush();
    }

    private static void boot(Kernel kernel, CommandLine line, PrintStream console) throws ParseException, IOException {
        List<PciAddress> devices = devices(line);
        VfioInterface by = vfioInterface(line);
        long ramSize = ramSize(line);
        try (Machine machine = LinuxMachine.boot(kernel, ramSize, image(line), new GuestText(console))) {
            for (int i = 0; i < devices.size(); i++) {
                machine.attach(devices.get(i), by, FIRST_SLOT + i);
            }
            machine.run();
        }
    }

    private static List<PciAddress> devices(CommandLine line) throws ParseException {
        List<PciAddress> devices = new ArrayList<>();
        if (line.hasOption(DEVICE)) {
            for (String address : line.getOptionValues(DEVICE)) {
                try {
                    devices.add(PciAddress.parse(address));
                } catch (IllegalArgumentException malformed) {
                    throw new ParseException(malformed.getMessage());
                }
            }
        }
        return devices;
    }

    private static VfioInterface vfioInterface(CommandLine line) throws ParseException {
        return switch (line.getOptionValue(INTERFACE, "cdev")) {
            case "cdev" -> VfioInterface.CDEV;
            case "group" -> VfioInterface.GROUP;
            case String other -> throw new ParseException("--interface is cdev or group, not " + other);
        };
    }

    private static long ramSize(CommandLine line) throws ParseException {
        String mebibytes = line.getOptionValue(MEMORY, "256");
        if (!mebibytes.matches("[1-9][0-9]{0,5}")) {
            throw new ParseException("--memory is a number of MiB, not " + mebibytes);
        }
        return Long.parseLong(mebibytes) << 20;
    }

    private static LinuxImage image(CommandLine line) throws ParseException, IOException {
        List<String> files = line.getArgList();
        if (files.size() != 2) {
            throw new ParseException("a kernel and an initial RAM disk are needed, not " + files.size() + " files");
        }
        for (String file : files) {
            if (!Files.isReadable(Path.of(file))) {
                throw new ParseException("cannot read " + file);
            }
        }
        LinuxImage image = LinuxImage.read(Path.of(files.getFirst()), Path.of(files.getLast()));
        if (line.hasOption(APPEND)) {
            image = image.withArguments(line.getOptionValue(APPEND));
        }
        return line.hasOption(COMMAND) ? image.withFile("command", line.getOptionValue(COMMAND)) : image;
    }
}
