package dev.kvmvfio.cli;

import com.google.gson.GsonBuilder;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockKernel;
import java.util.function.Function;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Which host a command looks at, and how it tells what it saw. */
final class HostOptions {
    @Option(names = "--mock", description = "Do it on the embedded model of a kernel and its host.")
    private boolean mock;

    @Option(names = "--json", description = "Print one JSON document instead of lines.")
    private boolean json;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    boolean isMock() {
        return mock;
    }

    /** Runs a command on the host; what a mock host finds forgotten at its end is a failure. */
    <R> R onHost(Function<Kernel, R> action) {
        if (!mock) {
            return action.apply(Kernel.linux());
        }
        try (MockKernel kernel = MockKernel.example()) {
            return action.apply(kernel);
        }
    }

    /** Prints the document, or calls for lines when none is wanted. */
    void report(Object document, Runnable lines) {
        if (json) {
            command.commandLine().getOut().println(new GsonBuilder().setPrettyPrinting().disableHtmlEscaping()
                    .serializeNulls().create().toJson(document));
        } else {
            lines.run();
        }
    }

    void line(String format, Object... values) {
        command.commandLine().getOut().println(String.format(format, values).stripTrailing());
    }
}
