package dev.kvmvfio.cli;

import com.google.gson.GsonBuilder;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.pci.PciAddress;
import java.io.PrintWriter;
import java.util.List;
import java.util.function.Function;
import org.apache.commons.cli.CommandLine;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.ParseException;

/** A command as it was called: its options, the host that it looks at, and where it tells what it saw. */
record Invocation(CommandLine line, PrintWriter out, PrintWriter err) {
    boolean has(Option option) {
        return line.hasOption(option);
    }

    String value(Option option, String otherwise) {
        return line.getOptionValue(option, otherwise);
    }

    List<String> parameters() {
        return line.getArgList();
    }

    PciAddress address() throws ParseException {
        try {
            return PciAddress.parse(parameters().getFirst());
        } catch (IllegalArgumentException malformed) {
            throw new ParseException(malformed.getMessage());
        }
    }

    /** An option's number of MiB, in bytes. */
    long memory(Option option, int otherwise) throws ParseException {
        String text = value(option, Integer.toString(otherwise));
        try {
            int mebibytes = Integer.parseInt(text);
            if (mebibytes > 0) {
                return (long) mebibytes << 20;
            }
        } catch (NumberFormatException noNumber) {
            // it is told like a number that is too small
        }
        throw new ParseException("--" + option.getLongOpt() + " needs at least 1 MiB, not " + text);
    }

    boolean isMock() {
        return has(Command.MOCK);
    }

    /** Runs a command on the host; what a mock host finds forgotten at its end is a failure. */
    <R> R onHost(Function<Kernel, R> action) {
        if (!isMock()) {
            return action.apply(Kernel.linux());
        }
        try (MockKernel kernel = MockKernel.example()) {
            return action.apply(kernel);
        }
    }

    /** Prints the document, or calls for lines when none is wanted. */
    void report(Object document, Runnable lines) {
        if (has(Command.JSON)) {
            out.println(new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().serializeNulls().create()
                    .toJson(document));
        } else {
            lines.run();
        }
    }

    void println(String format, Object... values) {
        out.println(String.format(format, values).stripTrailing());
    }
}
