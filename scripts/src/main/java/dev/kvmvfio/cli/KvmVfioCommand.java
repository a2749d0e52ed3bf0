package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.KvmVfioException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.util.List;
import org.apache.commons.cli.ParseException;

/** The program: finds the command, and turns what goes wrong into one line and an exit code. */
public final class KvmVfioCommand {
    static final int REFUSED = 1;
    private static final int WRONG_USAGE = 2;
    private static final String HELP = """
            Usage: kvm-vfio COMMAND [OPTION…]

            Attaches PCI devices of this host to virtual machines, through KVM, VFIO and iommufd.

            %s
            kvm-vfio COMMAND --help tells more.

            Exit codes: 0 when done, 1 when the host or the kernel refused, 2 on wrong usage.
            """;

    private KvmVfioCommand() {
    }

    /**
     * Runs the program and ends the process.
     *
     * @param arguments the command line
     * @throws IOException when standard input cannot be read
     */
    public static void main(String[] arguments) throws IOException {
        System.exit(run(List.of(arguments), new PrintWriter(System.out, true), new PrintWriter(System.err, true)));
    }

    static List<Command> commands() {
        return List.of(new ListCommand(), new DoctorCommand(), new BindCommand(), new UnbindCommand(),
                new AttachCommand(), new CompletionCommand());
    }

    /** Returns the exit code. */
    static int run(List<String> words, PrintWriter out, PrintWriter err) throws IOException {
        String first = words.isEmpty() ? "" : words.getFirst();
        try {
            switch (first) {
                case "--help", "-h" -> printHelp(out);
                case "--version", "-V" -> out.println("kvm-vfio 0.1.0");
                default -> {
                    return find(first).run(words.subList(1, words.size()), out, err);
                }
            }
            return 0;
        } catch (ParseException wrong) {
            err.println("kvm-vfio: " + wrong.getMessage() + " (kvm-vfio --help tells what there is)");
            return WRONG_USAGE;
        } catch (KvmVfioException | UnsupportedOperationException | UncheckedIOException refused) {
            err.println("kvm-vfio: " + refused.getMessage());
            for (Throwable later : refused.getSuppressed()) {
                err.println("kvm-vfio: then " + later.getMessage());
            }
            return REFUSED;
        }
    }

    private static Command find(String name) throws ParseException {
        return commands().stream().filter(command -> command.name().equals(name)).findAny().orElseThrow(
                () -> new ParseException(name.isEmpty() ? "which command?" : "there is no command " + name));
    }

    private static void printHelp(PrintWriter out) {
        StringBuilder list = new StringBuilder();
        for (Command command : commands()) {
            String sentence = command.description().split("\\.( |$)")[0];
            list.append(String.format("  %-10s  %s%n", command.name(), sentence));
        }
        out.printf(HELP, list);
        out.flush();
    }
}
