package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.KvmVfioException;
import java.io.UncheckedIOException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The program: reads the command line, and turns what goes wrong into one line and an exit code. */
@Command(name = "kvm-vfio", mixinStandardHelpOptions = true, version = "kvm-vfio 0.1.0", subcommands = {
    ListCommand.class, DoctorCommand.class, BindCommand.class, UnbindCommand.class, AttachCommand.class,
    CompletionCommand.class}, description = "Attaches PCI devices of this host to virtual machines, through KVM, VFIO and iommufd.", exitCodeListHeading = "Exit codes:%n", exitCodeList = {
        "0:done", "1:the host or the kernel refused", "2:wrong usage"})
public final class KvmVfioCommand implements Runnable {
    static final int REFUSED = 1;

    @Spec
    private CommandSpec spec;

    private KvmVfioCommand() {
    }

    /**
     * Runs the program and ends the process.
     *
     * @param arguments the command line
     */
    public static void main(String[] arguments) {
        System.exit(commandLine().execute(arguments));
    }

    static CommandLine commandLine() {
        return new CommandLine(new KvmVfioCommand()).setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionExceptionHandler((failure, commandLine, _) -> refused(failure, commandLine));
    }

    private static int refused(Exception failure, CommandLine commandLine) throws Exception {
        if (!(failure instanceof KvmVfioException || failure instanceof UnsupportedOperationException
                || failure instanceof UncheckedIOException)) {
            throw failure;
        }
        commandLine.getErr().println("kvm-vfio: " + failure.getMessage());
        for (Throwable later : failure.getSuppressed()) {
            commandLine.getErr().println("kvm-vfio: then " + later.getMessage());
        }
        return REFUSED;
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "which command?");
    }
}
