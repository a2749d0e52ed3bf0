package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.kernel.Kernel;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** What a user sees whose program lacks the option that lets this library call the kernel. */
@Tag("mock")
class NativeAccessTest {
    private static final List<String> ON_THE_MODULE_PATH = List.of("--module-path", path(Kernel.class, vfio_h.class),
            "--add-modules", "dev.kvmvfio", "--class-path", path(Program.class));
    private static final List<String> ON_THE_CLASS_PATH = List.of("--class-path",
            path(Program.class, Kernel.class, vfio_h.class));
    private static final String DENIED = "The Java runtime keeps this library from calling the kernel: start it with "
            + "--enable-native-access=";

    /** A program of a user. */
    public static final class Program {
        private Program() {
        }

        /**
         * Calls the kernel, once.
         *
         * @param arguments none
         */
        public static void main(String[] arguments) {
            System.out.println("page size " + Kernel.linux().pageSize());
        }
    }

    private static String path(Class<?>... types) {
        return Stream.of(types).map(type -> type.getProtectionDomain().getCodeSource().getLocation().getPath())
                .collect(Collectors.joining(File.pathSeparator));
    }

    private static String java(List<String> path, String... options) throws Exception {
        List<String> command = new ArrayList<>(
                List.of(Path.of(System.getProperty("java.home"), "bin/java").toString()));
        command.addAll(List.of(options));
        command.addAll(path);
        command.add(Program.class.getName());
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        process.waitFor();
        return output;
    }

    @Test
    void aModuleThatIsDeniedIsNamed() throws Exception {
        assertThat(java(ON_THE_MODULE_PATH, "--illegal-native-access=deny"))
                .startsWith(
                        "Exception in thread \"main\" java.lang.IllegalCallerException: " + DENIED + "dev.kvmvfio\n");
    }

    @Test
    void theClassPathIsNamedWhenItIsDenied() throws Exception {
        assertThat(java(ON_THE_CLASS_PATH, "--illegal-native-access=deny"))
                .startsWith(
                        "Exception in thread \"main\" java.lang.IllegalCallerException: " + DENIED + "ALL-UNNAMED\n");
    }

    @Test
    void oneOptionIsEnough() throws Exception {
        assertThat(java(ON_THE_MODULE_PATH, "--illegal-native-access=deny", "--enable-native-access=dev.kvmvfio"))
                .matches("page size \\d+\n");
        assertThat(java(ON_THE_CLASS_PATH, "--illegal-native-access=deny", "--enable-native-access=ALL-UNNAMED"))
                .matches("page size \\d+\n");
    }
}
