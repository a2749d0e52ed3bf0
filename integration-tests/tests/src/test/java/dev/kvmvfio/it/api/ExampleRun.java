package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.junit.MockKernelExtension;
import dev.kvmvfio.kernel.Kernel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * A compiled example in classes of its own: the library is loaded anew for it, with a {@link Kernel#linux()} that is
 * {@link ExampleHost}.
 */
final class ExampleRun implements AutoCloseable {
    private static final Path LIBRARY = Path.of(System.getProperty("project.root"), "core/src/main/java");
    private static final Path LINUX_IS_THE_MOCK = linuxIsTheMock();

    private static final ClassLoader WITH_THE_LIBRARY = new Anew();

    private final URLClassLoader loader;
    private final ByteArrayOutputStream printed = new ByteArrayOutputStream();
    private Throwable thrown;

    ExampleRun(Path classes) throws IOException {
        loader = new URLClassLoader(new URL[]{classes.toUri().toURL()}, WITH_THE_LIBRARY);
    }

    /** Loads the library's classes again, and takes all others from the tests. */
    private static final class Anew extends URLClassLoader {
        Anew() {
            super(Stream.concat(Stream.of(LINUX_IS_THE_MOCK, JavaSource.home(ExampleRun.class),
                    JavaSource.home(MockKernelExtension.class)),
                    JavaSource.MODULES.stream()).map(Anew::url).toArray(URL[]::new), ExampleRun.class.getClassLoader());
        }

        private static URL url(Path place) {
            try {
                return place.toUri().toURL();
            } catch (IOException impossible) {
                throw new UncheckedIOException(impossible);
            }
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            synchronized (getClassLoadingLock(name)) {
                Class<?> loaded = findLoadedClass(name);
                if (loaded == null) {
                    return name.startsWith("dev.kvmvfio.") ? findClass(name) : super.loadClass(name, resolve);
                }
                return loaded;
            }
        }
    }

    /** Compiles the seam to the operating system with another answer. */
    private static Path linuxIsTheMock() {
        try {
            Path folder = Files.createTempDirectory("linux-is-the-mock");
            String seam = Files.readString(LIBRARY.resolve("dev/kvmvfio/kernel/Kernel.java"));
            String changed = seam.replace("return LinuxKernel.instance();",
                    "return dev.kvmvfio.it.api.ExampleHost.linux();");
            assertThat(changed).isNotEqualTo(seam);
            Path source = Files.writeString(folder.resolve("Kernel.java"), changed);
            JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
            try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, null)) {
                assertThat(compiler.getTask(null, files, null, List.of("-proc:none", "-implicit:none", "-nowarn", "-d",
                        folder.toString(), "-cp", System.getProperty("java.class.path")), null,
                        files.getJavaFileObjects(source)).call()).isTrue();
            }
            return folder;
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    private interface Body {
        void run() throws ReflectiveOperationException;
    }

    private void capture(Body body) {
        PrintStream out = System.out;
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try {
            body.run();
        } catch (InvocationTargetException failure) {
            thrown = failure.getCause();
        } catch (ReflectiveOperationException impossible) {
            throw new IllegalStateException(impossible);
        } finally {
            System.setOut(out);
        }
    }

    /** Starts the host; what its guests do is the name of an {@link ExampleHost.End}. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    void start(String end) throws ReflectiveOperationException {
        Class type = loader.loadClass(ExampleHost.End.class.getName());
        loader.loadClass(ExampleHost.class.getName()).getMethod("start", type).invoke(null, Enum.valueOf(type, end));
    }

    /** Runs a program; a file of imports is none. */
    void main(Optional<String> name) {
        name.ifPresent(type -> capture(() -> {
            Method main = loader.loadClass(type).getDeclaredMethod("main", String[].class);
            main.setAccessible(true);
            main.invoke(null, (Object) new String[0]);
        }));
    }

    /** Runs a test class, and answers what failed. */
    List<Throwable> tests(String name) throws ReflectiveOperationException {
        SummaryGeneratingListener listener = new SummaryGeneratingListener();
        LauncherFactory.create().execute(LauncherDiscoveryRequestBuilder.request()
                .selectors(DiscoverySelectors.selectClass(loader.loadClass(name))).build(), listener);
        assertThat(listener.getSummary().getTestsFoundCount()).isPositive();
        return listener.getSummary().getFailures().stream().map(TestExecutionSummary.Failure::getException).toList();
    }

    /** Runs statements, in a program that has a VM or in one that has none. */
    void statements(boolean withVm, boolean withVcpu) throws ReflectiveOperationException {
        Object statements = loader.loadClass("Statements").getConstructor().newInstance();
        if (withVm) {
            statements.getClass().getMethod("make", boolean.class).invoke(statements, withVcpu);
        }
        capture(() -> statements.getClass().getMethod("run").invoke(statements));
        statements.getClass().getMethod("giveBack").invoke(statements);
    }

    Optional<Throwable> thrown() {
        return Optional.ofNullable(thrown);
    }

    String printed() {
        return printed.toString(StandardCharsets.UTF_8);
    }

    @Override
    public void close() throws IOException {
        loader.close();
    }
}
