package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockKernel;
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
    private static final List<String> ON_THE_MODULE_PATH = List.of("--module-path",
            path(MockKernel.class, Kernel.class, kvm_h.class), "--add-modules", "dev.kvmvfio.mock", "--class-path",
            path(Program.class));
    private static final List<String> ON_THE_CLASS_PATH = List.of("--class-path",
            path(Program.class, MockKernel.class, Kernel.class, kvm_h.class));
    /** As Maven runs the tests of a program that is a module and needs the mock for its tests alone. */
    private static final List<String> ON_BOTH = List.of("--module-path", path(Kernel.class, kvm_h.class),
            "--add-modules", "dev.kvmvfio", "--class-path", path(Program.class, MockKernel.class));
    private static final String DENIED = "The Java runtime keeps this library from calling the kernel: start it with "
            + "--enable-native-access=";

    /** A program of a user. */
    public static final class Program {
        /** Not in the first page, which the mock refuses without a look. */
        private static final long NO_MEMORY = 0x1000;

        private Program() {
        }

        /**
         * Calls the kernel, and the mock with an address at which there is no memory.
         *
         * @param arguments none
         */
        public static void main(String[] arguments) {
            System.out.println("page size " + Kernel.linux().pageSize());
            try (MockKernel mock = MockKernel.example()) {
                int kvm = mock.open("/dev/kvm", 0);
                int vm = mock.ioctl(kvm, kvm_h.KVM_CREATE_VM(), 0);
                System.out.println(Errno.of(-mock.ioctl(vm, kvm_h.KVM_CREATE_DEVICE(), NO_MEMORY)));
                mock.close(vm);
                mock.close(kvm);
            }
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
        String answers = "page size \\d+\nEFAULT\n";
        assertThat(java(ON_THE_MODULE_PATH, "--illegal-native-access=deny", "--enable-native-access=dev.kvmvfio"))
                .matches(answers);
        assertThat(java(ON_BOTH, "--illegal-native-access=deny", "--enable-native-access=dev.kvmvfio"))
                .matches(answers);
        assertThat(java(ON_THE_CLASS_PATH, "--illegal-native-access=deny", "--enable-native-access=ALL-UNNAMED"))
                .matches(answers);
    }
}
