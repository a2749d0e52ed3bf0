package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The command lines of the package kernel's page, as they stand. */
@Tag("mock")
class FlightRecorderTest {
    private static final Pattern LINES = Pattern.compile("<pre>\\s*\\* (java .*) …\\s*\\* (jfr .*)\\s*\\* </pre>");
    private static final String BIN = System.getProperty("java.home") + "/bin/";

    @TempDir
    private Path folder;

    /** A program that a user wants to look into. */
    public static final class Program {
        private Program() {
        }

        /** Makes a VM and lets its vCPU halt. */
        public static void main(String[] arguments) {
            try (MockKernel mock = MockKernel.example(); Kvm kvm = Kvm.open(mock); Vm vm = kvm.createVm()) {
                Vcpu vcpu = vm.createVcpu(0);
                mock.guest(vm.fd().number()).program(0, _ -> {
                });
                vcpu.run();
            }
        }
    }

    private String run(String line) throws IOException, InterruptedException {
        Process process = new ProcessBuilder("sh", "-c", BIN + line).directory(folder.toFile())
                .redirectErrorStream(true).start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(text).isZero();
        return text;
    }

    @Test
    void theLinesRecordAndPrint() throws Exception {
        var lines = LINES.matcher(Files.readString(Path.of(System.getProperty("project.root"),
                "core/src/main/java/dev/kvmvfio/kernel/package-info.java")));
        assertThat(lines.find()).isTrue();
        run(lines.group(1) + " --enable-native-access=ALL-UNNAMED -cp '" + System.getProperty("java.class.path") + "' '"
                + Program.class.getName() + "'");
        assertThat(run(lines.group(2))).contains(List.of("kvmvfio.Ioctl {", "KVM_CREATE_VM", "kvmvfio.VcpuExit {"));
    }
}
