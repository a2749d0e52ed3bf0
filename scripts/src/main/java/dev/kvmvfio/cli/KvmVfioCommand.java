package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.KvmVfioException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Locale;
import org.apache.commons.cli.ParseException;

/** The program: finds the command, and turns what goes wrong into one line and an exit code. */
public final class KvmVfioCommand {
    static final String VERSION = "kvm-vfio 0.1.0";
    static final String SUMMARY = "Attaches PCI devices of this host to virtual machines, through KVM, VFIO and iommufd.";
    static final String EXIT_CODES = "0 when done, 1 when the host or the kernel refused or the output could not be written, "
            + "2 on wrong usage.";
    static final int REFUSED = 1;
    private static final int WRONG_USAGE = 2;
    private static final String HELP = """
            Usage: kvm-vfio COMMAND [OPTION…]

            %s

            %s
            kvm-vfio COMMAND --help or kvm-vfio help COMMAND tells more; kvm-vfio manual | man -l - is all of it.

            Exit codes: %s
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
        Output out = Output.to(new FileOutputStream(FileDescriptor.out), Terminal.columns(Terminal.OUTPUT));
        System.exit(run(List.of(arguments), out, errors()));
    }

    static Output errors() {
        return Output.to(new FileOutputStream(FileDescriptor.err), Terminal.columns(Terminal.ERRORS));
    }

    static List<Command> commands() {
        return List.of(new ListCommand(), new DoctorCommand(), new BindCommand(), new UnbindCommand(),
                new AttachCommand(), new CompletionCommand(), new ManualCommand());
    }

    /** Returns the exit code. */
    static int run(List<String> words, Output out, Output err) throws IOException {
        int code = runCommand(words, out, err);
        if (out.hasFailed()) {
            err.line("kvm-vfio: the output could not be written");
            return Math.max(code, REFUSED);
        }
        return code;
    }

    private static int runCommand(List<String> words, Output out, Output err) throws IOException {
        String first = words.isEmpty() ? "" : words.getFirst();
        List<String> rest = words.isEmpty() ? words : words.subList(1, words.size());
        String advised = "";
        try {
            switch (first) {
                case "--help", "-h", "help" -> help(rest, out);
                case "--version", "-V" -> out.line(VERSION);
                default -> {
                    Command command = find(first);
                    advised = command.name() + " ";
                    return command.run(rest, out, err);
                }
            }
            return 0;
        } catch (ParseException wrong) {
            tell(wrong, rest, out);
            err.line("kvm-vfio: " + wrong.getMessage() + " (kvm-vfio " + advised + "--help tells more)");
            return WRONG_USAGE;
        } catch (KvmVfioException | UnsupportedOperationException | UncheckedIOException refused) {
            tell(refused, rest, out);
            err.line("kvm-vfio: " + refused.getMessage());
            for (Throwable later : refused.getSuppressed()) {
                err.line("kvm-vfio: then " + later.getMessage());
            }
            return REFUSED;
        }
    }

    /** A program that reads the document finds one in any case. */
    private static void tell(Exception failure, List<String> words, Output out) {
        if (words.contains("--json")) {
            out.lines(Json.of(failure));
        }
    }

    private static Command find(String name) throws ParseException {
        return commands().stream().filter(command -> command.name().equals(name)).findAny().orElseThrow(
                () -> new ParseException(name.isEmpty()
                        ? "which command?"
                        : "there is no command " + name
                                + Suggestion.of(name, commands().stream().map(Command::name).toList())));
    }

    private static void help(List<String> words, Output out) throws ParseException {
        if (!words.isEmpty()) {
            find(words.getFirst()).printHelp(out);
            return;
        }
        StringBuilder list = new StringBuilder();
        for (Command command : commands()) {
            String sentence = command.description().split("\\.( |$)")[0];
            list.append(String.format(Locale.ROOT, "  %-10s  %s%n", command.name(), sentence));
        }
        out.lines(String.format(Locale.ROOT, HELP, SUMMARY, list, EXIT_CODES));
    }
}
