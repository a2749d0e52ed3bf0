package dev.kvmvfio.shell;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The shell as a person starts it, on the mock's host. */
class ShellTest {
    private static final Path SCRIPTS = Path.of("").toAbsolutePath();

    @TempDir
    private Path folder;

    private record Run(int exitCode, String out, String err) {
    }

    private Process start(String... arguments) throws IOException {
        List<String> line = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED", "-XX:TieredStopAtLevel=1",
                "-Dshell.imports=" + SCRIPTS.resolve("shell.d/imports.jsh"), "-cp",
                System.getProperty("java.class.path") + File.pathSeparator + System.getProperty("jdk.module.path", ""),
                Shell.class.getName()));
        line.addAll(List.of(arguments));
        return new ProcessBuilder(line).redirectError(folder.resolve("err").toFile()).start();
    }

    private Run finish(Process process, String input) throws Exception {
        try (var typed = process.outputWriter()) {
            typed.write(input);
        }
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Run(process.waitFor(), out, Files.readString(folder.resolve("err")));
    }

    private Run type(String... lines) throws Exception {
        return finish(start("--mock"), String.join("\n", lines) + "\n");
    }

    private Run script(String text) throws Exception {
        Path script = Files.writeString(folder.resolve("script.jsh"), text);
        return finish(start("--mock", script.toString()), "");
    }

    static Stream<Path> examples() throws IOException {
        try (Stream<Path> files = Files.list(SCRIPTS.resolve("examples"))) {
            return files.filter(file -> file.toString().endsWith(".jsh")).sorted().toList().stream();
        }
    }

    /** The mock's end tells of anything that an example forgets to give back. */
    @ParameterizedTest
    @MethodSource("examples")
    void anExampleRuns(Path example) throws Exception {
        Run run = finish(start("--mock", example.toString()), "");
        assertThat(run.err()).isEmpty();
        assertThat(run.exitCode()).isZero();
        assertThat(run.out()).contains(switch (example.getFileName().toString()) {
            case "attach-by-cdev.jsh" -> "device 8086:10d3, class 020000";
            case "attach-by-group.jsh" -> "of /dev/vfio/26";
            case "dma.jsh" -> "Hello by DMA of 0000:6b:00.0";
            case "regions.jsh" -> "BAR 0 of /dev/vfio/devices/vfio1";
            default -> throw new AssertionError("what does it print?");
        });
    }

    @Test
    void resultsAreShortText() throws Exception {
        Run run = type("devices()", "kvm()", "var attached = attach(\"0000:6a:01.0\")", "attached.device().region(0)",
                "attached.device().configSpace()", "kvm().close()", "attached.device()", "mock()", "/exit");
        assertThat(run.out()).contains("0000:6a:01.0  8086:10d3", "vfio-pci      26  vfio0   yes",
                "no: its group has 0000:6c:00.1 (nvme)", "==> /dev/kvm (fd 3)",
                "attached ==> /dev/vfio/devices/vfio0 (fd 6) attached by cdev",
                "BAR 0 of /dev/vfio/devices/vfio0 (fd 6), 0x20000 bytes, read write mmap", "PCI Express", "MSI-X",
                "/dev/vfio/devices/vfio0 (fd 6, closed)");
        assertThat(run.err()).isEmpty();
        assertThat(run.exitCode()).isZero();
    }

    @Test
    void whatHasNoResultPrintsNone() throws Exception {
        Run run = type("help()", "void nothing() {}", "nothing()", "int one = 1", "/exit");
        assertThat(run.out()).containsOnlyOnce("==>").contains("one ==> 1\n");
    }

    @Test
    void anErrorIsOneLineWithTheRemedy() throws Exception {
        Run run = type("attach(\"0000:6d:00.0\")", "attach(\"7\")", "kvm().close()", "/exit");
        assertThat(run.out().lines().filter(line -> line.contains("Exception"))).hasSize(2).first().asString()
                .contains("HostException: 0000:6d:00.0 is bound to no driver", "kvm-vfio bind 0000:6d:00.0");
        assertThat(run.out()).doesNotContain("\tat ", "|        at");
    }

    @Test
    void endOfInputUndoesAll() throws Exception {
        Run run = type("attach(\"0000:6a:01.0\")");
        assertThat(run.err()).as("the mock misses nothing").isEmpty();
        assertThat(run.exitCode()).isZero();
    }

    @Test
    void whatIsNotTheShellsOwnIsMissedOnTheMock() throws Exception {
        Run run = type("Kvm.open(kernel())");
        assertThat(run.err()).contains("left behind on the mock kernel", "fd 3 is open: /dev/kvm");
        assertThat(run.exitCode()).isEqualTo(1);
    }

    @Test
    void aSignalUndoesAll() throws Exception {
        Process process = start("--mock");
        try (BufferedReader out = process.inputReader(); var typed = process.outputWriter()) {
            typed.write("attach(\"0000:6a:01.0\")\nSystem.out.println(\"attached\")\n");
            typed.flush();
            String line = out.readLine();
            while (line != null && !line.endsWith("attached")) {
                line = out.readLine();
            }
            // Process.destroy() would end the input too, and which came first would count.
            process.toHandle().destroy();
            assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
        }
        assertThat(process.exitValue()).as("128 + SIGTERM").isEqualTo(143);
        assertThat(Files.readString(folder.resolve("err"))).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"'int x = 1;\n\nattach(\"0000:6d:00.0\");',1,:3: HostException: 0000:6d:00.0 is bound to no driver",
        "int x = true;,1,:1: incompatible types", "'// a comment\nfor (;;) {',1,:2: ends in the middle of a statement",
        "undefined();,1,:1: cannot find symbol", "System.exit(7);,7,''", "int x = 1;,0,''", "'',0,''"})
    void aScriptExitsWithItsStatus(String text, int exitCode, String message) throws Exception {
        Run run = script(text);
        assertThat(run.err()).contains(message).hasLineCount(message.isEmpty() ? 0 : 1);
        assertThat(run.exitCode()).isEqualTo(exitCode);
    }

    @Test
    void wrongUsage() throws Exception {
        assertThat(finish(start("--fast"), "")).isEqualTo(new Run(2, "", "usage: shell [--mock] [SCRIPT]\n"));
        assertThat(finish(start("none.jsh"), "")).isEqualTo(new Run(1, "", "shell: cannot read none.jsh\n"));
    }
}
