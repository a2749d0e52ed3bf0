package dev.kvmvfio.shell;

import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import jdk.jshell.execution.LocalExecutionControl;
import jdk.jshell.spi.ExecutionControl;
import jdk.jshell.spi.ExecutionControlProvider;
import jdk.jshell.spi.ExecutionEnv;

/** Runs what is typed in this process, and tells what goes wrong in one line: the cause and what to do about it. */
public final class ShellExecution implements ExecutionControlProvider {
    static final String NAME = "kvmvfio";

    /** For the service loader. */
    public ShellExecution() {
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public ExecutionControl generate(ExecutionEnv environment, Map<String, String> parameters) {
        return new LocalExecutionControl(ShellExecution.class.getClassLoader()) {
            @Override
            protected String throwConvertedInvocationException(Throwable cause) throws RunException {
                throw new UserException(message(cause), cause.getClass().getSimpleName(), new StackTraceElement[0]);
            }
        };
    }

    /** The message of an exception of this library ends with the remedy. */
    private static String message(Throwable failure) {
        return Stream.concat(Stream.of(failure), Stream.of(failure.getSuppressed()))
                .map(each -> each.getMessage() == null ? each.getClass().getSimpleName() : each.getMessage())
                .collect(Collectors.joining("; then "));
    }
}
