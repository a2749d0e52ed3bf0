package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.Kernel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Which signal makes a thread leave a call, when the program chooses and when it does not. */
@Tag("mock")
class ChosenSignalTest {
    private static final int SIGSEGV = 11;
    private static final int EBUSY = 16;
    private static final int EINVAL = 22;
    /** As glibc has it. */
    private static final int SIGRTMIN = 34;
    private static final int SIGKILL = 9;

    /** A program of a user. */
    public static final class Program {
        private Program() {
        }

        /**
         * Interrupts its thread, and tells what the kernel answered and for which signal there is a handler since.
         *
         * @param arguments none
         */
        public static void main(String[] arguments) throws Exception {
            long before = caught();
            int result = Kernel.linux().interrupt(Kernel.linux().threadId());
            System.out.println(result + " " + (Long.numberOfTrailingZeros(before ^ caught()) + 1));
        }

        private static long caught() throws Exception {
            String line = Files.readAllLines(Path.of("/proc/self/status")).stream()
                    .filter(each -> each.startsWith("SigCgt:")).findFirst().orElseThrow();
            return Long.parseUnsignedLong(line.substring(line.indexOf('\t') + 1), 16);
        }
    }

    private static String run(String... options) throws Exception {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path")));
        command.addAll(List.of(options));
        command.add(Program.class.getName());
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return output.strip();
    }

    @Test
    void theFirstRealTimeSignalIsTakenOrTheOneThatWasChosen() throws Exception {
        assertThat(run()).isEqualTo("0 " + SIGRTMIN);
        assertThat(run("-Ddev.kvmvfio.signal=40")).isEqualTo("0 40");
    }

    @Test
    void aSignalOfSomebodyElseIsRefused() throws Exception {
        assertThat(run("-Ddev.kvmvfio.signal=" + SIGSEGV)).startsWith(-EBUSY + " ");
        assertThat(run("-Ddev.kvmvfio.signal=" + SIGKILL)).startsWith(-EINVAL + " ");
    }
}
