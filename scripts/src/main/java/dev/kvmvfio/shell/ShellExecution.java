package dev.kvmvfio.shell;

import dev.kvmvfio.cli.Visible;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import jdk.jshell.execution.LocalExecutionControl;
import jdk.jshell.spi.ExecutionControl;
import jdk.jshell.spi.ExecutionControlProvider;
import jdk.jshell.spi.ExecutionEnv;
import jdk.jshell.spi.SPIResolutionException;

/**
 * Runs what is typed in this process and on one thread, and tells what goes wrong in one line: the cause and what to do
 * about it.
 */
public final class ShellExecution implements ExecutionControlProvider {
    static final String NAME = "kvmvfio";

    private static final SnippetThread THREAD = new SnippetThread();
    private static volatile Method next;

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
            /** JShell starts a thread for each snippet, which only waits for ours; what stops it stops ours. */
            @Override
            protected String invoke(Method snippet) throws Exception {
                next = snippet;
                return super.invoke(ShellExecution.class.getMethod("runNext"));
            }

            @Override
            protected String throwConvertedInvocationException(Throwable cause) throws RunException, InternalException {
                if (cause instanceof SPIResolutionException) {
                    return super.throwConvertedInvocationException(cause);
                }
                throw new UserException(message(cause), cause.getClass().getSimpleName(), new StackTraceElement[0]);
            }
        };
    }

    /**
     * Runs the snippet whose turn it is; for JShell, which calls methods only.
     *
     * @return its result
     * @throws Throwable what it threw
     */
    public static Object runNext() throws Throwable {
        Method snippet = next;
        try {
            return THREAD.run(() -> snippet.invoke(null));
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }

    /** The message of an exception of this library ends with the remedy. */
    private static String message(Throwable failure) {
        return Stream.concat(Stream.of(failure), Stream.of(failure.getSuppressed()))
                .map(each -> each.getMessage() == null ? each.getClass().getSimpleName() : each.getMessage())
                .map(Visible::of).collect(Collectors.joining("; then "));
    }
}
