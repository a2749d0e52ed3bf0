package dev.kvmvfio.it.api;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.junit.MockKernelExtension;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.vmm.Machine;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.module.ModuleFinder;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.StandardLocation;
import javax.tools.ToolProvider;
import org.apache.commons.cli.Options;

/** Java source that is compiled in memory, by a program that has this library on its module path. */
final class JavaSource {
    /** On the module path; the kit for JUnit stays on the class path, with JUnit. */
    static final List<Path> MODULES = Stream
            .of(Kernel.class, vfio_h.class, MockKernel.class, Machine.class, Options.class).map(JavaSource::home)
            .toList();

    private final String text;

    JavaSource(String text) {
        this.text = text;
    }

    /** What the compiler complains about. */
    record Complaint(Diagnostic.Kind kind, String code, String line, String message) {
        @Override
        public String toString() {
            return kind + " " + code + " at: " + line + "\n" + message;
        }
    }

    static Path home(Class<?> type) {
        try {
            return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
        } catch (URISyntaxException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /**
     * Imports of everything that core, the mock, the kit for JUnit and the example VMM offer to a program, and of the JDK's
     * collections.
     */
    static String imports() {
        String packages = ModuleFinder
                .of(home(Kernel.class), home(MockKernel.class), home(Machine.class), home(MockKernelExtension.class))
                .findAll()
                .stream()
                .flatMap(module -> module.descriptor().exports().stream())
                .map(export -> "import " + export.source() + ".*;").sorted().collect(Collectors.joining("\n"));
        return packages + "\nimport java.util.*;\n";
    }

    /** Compiles with every warning on, but makes no classes. */
    List<Complaint> complaints() {
        return compile("--should-stop=ifNoError=FLOW");
    }

    /** Compiles with every warning on, and makes classes of what there is no complaint about. */
    List<Complaint> complaintsOrClassesIn(Path folder) {
        return compile("-Werror", "-d", folder.toString());
    }

    private List<Complaint> compile(String... more) {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
        JavaFileObject source = new SimpleJavaFileObject(URI.create("string:///Source.java"),
                JavaFileObject.Kind.SOURCE) {
            @Override
            public boolean isNameCompatible(String simpleName, JavaFileObject.Kind kind) {
                return true;
            }

            @Override
            public CharSequence getCharContent(boolean ignoreEncodingErrors) {
                return text;
            }
        };
        List<String> options = Stream.concat(Stream.of("-Xlint:all", "-Xdiags:verbose", "-proc:none", "--add-modules",
                "dev.kvmvfio.mock,dev.kvmvfio.vmm"), Stream.of(more)).toList();
        try (StandardJavaFileManager files = compiler.getStandardFileManager(found, Locale.ROOT, null)) {
            files.setLocationFromPaths(StandardLocation.MODULE_PATH, MODULES);
            compiler.getTask(null, files, found, options, null, List.of(source)).call();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
        return found.getDiagnostics().stream().map(this::complaint).toList();
    }

    private Complaint complaint(Diagnostic<? extends JavaFileObject> diagnostic) {
        String line = diagnostic.getLineNumber() < 1
                ? ""
                : text.lines().skip(diagnostic.getLineNumber() - 1).findFirst().orElse("");
        return new Complaint(diagnostic.getKind(), diagnostic.getCode(), line.strip(),
                diagnostic.getMessage(Locale.ROOT));
    }
}
