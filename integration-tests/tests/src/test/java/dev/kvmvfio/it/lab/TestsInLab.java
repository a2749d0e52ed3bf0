package dev.kvmvfio.it.lab;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;
import static org.junit.platform.launcher.TagFilter.includeTags;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/** Runs test classes where there is no Maven, and prints one line for each test that a program can read. */
public final class TestsInLab implements TestExecutionListener {
    /** Begins the line of a test. */
    public static final String MARK = "@test ";

    private final PrintStream out = System.out;
    private boolean failed;

    private TestsInLab() {
    }

    /**
     * Runs the tests and exits with 1 when one failed.
     *
     * @param arguments a tag, and the classes that have tests with it; with # and the name of a method, that alone
     */
    public static void main(String[] arguments) {
        List<String> names = Arrays.asList(arguments).subList(1, arguments.length);
        Set<String> methods = names.stream().filter(name -> name.contains("#")).collect(Collectors.toSet());
        PostDiscoveryFilter chosen = test -> FilterResult.includedIf(methods.isEmpty() || test.getSource()
                .filter(MethodSource.class::isInstance).map(MethodSource.class::cast)
                .map(method -> methods.contains(method.getClassName() + "#" + method.getMethodName())).orElse(true));
        LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request()
                .selectors(names.stream().map(name -> selectClass(name.replaceAll("#.*", ""))).toList())
                .filters(includeTags(arguments[0]), chosen).build();
        TestsInLab listener = new TestsInLab();
        LauncherFactory.create().execute(request, listener);
        System.exit(listener.failed ? 1 : 0);
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        boolean passed = result.getStatus() == TestExecutionResult.Status.SUCCESSFUL;
        if (test.isContainer() && passed) {
            return;
        }
        result.getThrowable().ifPresent(failure -> failure.printStackTrace(new PrintWriter(out, true)));
        failed |= !passed;
        out.println(MARK + (passed ? "passed " : "failed ") + name(test));
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        failed = true;
        out.println(MARK + "failed " + name(test) + ": skipped, " + reason);
    }

    private static String name(TestIdentifier test) {
        return test.getSource().filter(MethodSource.class::isInstance).map(MethodSource.class::cast)
                .map(method -> method.getClassName().replaceAll(".*\\.", "") + "." + method.getMethodName() + " ")
                .orElse("")
                + test.getDisplayName();
    }
}
