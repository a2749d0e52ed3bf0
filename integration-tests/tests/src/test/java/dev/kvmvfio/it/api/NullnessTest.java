package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockKernel;
import java.io.File;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.spi.ToolProvider;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The library says with JSpecify's annotations what can be null, and a program does without them. */
@Tag("mock")
class NullnessTest {
    private static final String LIBRARY = Stream.of(MockKernel.class, Kernel.class, kvm_h.class)
            .map(type -> type.getProtectionDomain().getCodeSource().getLocation().getPath())
            .collect(Collectors.joining(File.pathSeparator));
    private static final String PROGRAM = """
            package user;

            import dev.kvmvfio.kernel.*;
            import dev.kvmvfio.mock.*;
            import dev.kvmvfio.mock.model.*;
            import java.util.*;

            final class Program {
                private Program() {
                }

                public static void main(String[] arguments) {
                    List<SystemCall> calls = new ArrayList<>();
                    try (MockKernel mock = MockKernel.host(KernelProfile.V6_12).device("0000:6a:01.0", MockDevice::withoutDriver)
                            .start();
                            HostMemory memory = HostMemory.allocate(ObservedKernel.observe(mock, calls::add), 4096)) {
                        System.out.println(memory.file() + " " + calls.getFirst().errno());
                    }
                }
            }
            """;

    @TempDir
    private Path folder;

    private void compile(List<String> options, Path... sources) {
        StringWriter complaints = new StringWriter();
        PrintWriter writer = new PrintWriter(complaints);
        Stream<String> arguments = Stream
                .of(Stream.of("-Xlint:all", "-Werror", "-d", folder.toString()), options.stream(),
                        Stream.of(sources).map(Path::toString))
                .flatMap(each -> each);
        int result = ToolProvider.findFirst("javac").orElseThrow().run(writer, writer,
                arguments.toArray(String[]::new));
        assertThat(complaints.toString()).isEmpty();
        assertThat(result).isZero();
    }

    private Path source(String name, String text) throws Exception {
        return Files.writeString(folder.resolve(name), text);
    }

    private static String java(String... options) throws Exception {
        List<String> command = Stream.concat(Stream.of(Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "--illegal-native-access=deny"), Stream.of(options)).toList();
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        process.waitFor();
        return output;
    }

    @Test
    void aProgramOnTheClassPathNeedsNoAnnotations() throws Exception {
        compile(List.of("--class-path", LIBRARY), source("Program.java", PROGRAM));
        assertThat(java("--enable-native-access=ALL-UNNAMED", "--class-path", folder + File.pathSeparator + LIBRARY,
                "user.Program")).isEqualTo("Optional.empty Optional.empty\n");
    }

    @Test
    void aModuleNeedsNoAnnotations() throws Exception {
        // Else javac takes the class path of this test.
        compile(List.of("--class-path", folder.toString(), "--module-path", LIBRARY), source("Program.java", PROGRAM),
                source("module-info.java", "module user { requires dev.kvmvfio.mock; }"));
        assertThat(java("--enable-native-access=dev.kvmvfio", "--module-path", folder + File.pathSeparator + LIBRARY,
                "--module", "user/user.Program")).isEqualTo("Optional.empty Optional.empty\n");
    }

    /** Else the other tests prove nothing. */
    @Test
    void theAnnotationsAreNotHere() {
        assertThatThrownBy(() -> Class.forName("org.jspecify.annotations.Nullable"))
                .isInstanceOf(ClassNotFoundException.class);
    }
}
