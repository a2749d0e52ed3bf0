package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.pci.PciDevice;
import java.util.List;
import org.apache.commons.cli.CommandLine;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.ParseException;

/** A command as it was called: its options, the host that it looks at, and where it tells what it saw. */
record Invocation(CommandLine line, Output out, Output err) {
    /** What a command does on a host. */
    interface Action<R> {
        R on(Kernel kernel) throws ParseException;
    }

    boolean has(Option option) {
        return line.hasOption(option);
    }

    String value(Option option, String otherwise) {
        return line.getOptionValue(option, otherwise);
    }

    List<String> parameters() {
        return line.getArgList();
    }

    /** The devices that were named. */
    List<PciDevice> devices(Kernel kernel) throws ParseException {
        return DeviceNames.find(kernel, parameters());
    }

    /** An option's size, in bytes. */
    long memory(Option option, int otherwise) throws ParseException {
        return Size.parse(option.getLongOpt(), value(option, Integer.toString(otherwise)));
    }

    boolean isMock() {
        return has(Command.MOCK);
    }

    /** Runs a command on the host; what a mock host finds forgotten at its end is a failure. */
    <R> R onHost(Action<R> action) throws ParseException {
        if (!isMock()) {
            return action.on(Kernel.linux());
        }
        try (MockKernel kernel = MockKernel.example()) {
            return action.on(kernel);
        }
    }

    /** Prints the document, or calls for lines when none is wanted. */
    void report(Object document, Runnable lines) {
        if (has(Command.JSON)) {
            out.lines(Json.of(document));
        } else {
            lines.run();
        }
    }
}
