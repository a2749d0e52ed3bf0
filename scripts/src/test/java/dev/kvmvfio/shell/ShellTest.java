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
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
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
    void whatTheReadmeTellsToTypeWorks() throws Exception {
        List<String> lines = new ArrayList<>(Files.readAllLines(SCRIPTS.resolve("../README.md")).stream()
                .filter(line -> line.startsWith("    kvm-vfio> "))
                .map(line -> line.substring("    kvm-vfio> ".length()))
                .toList());
        assertThat(lines).hasSizeGreaterThan(3);
        lines.add("/exit");
        Run run = type(lines.toArray(String[]::new));
        assertThat(run.out()).contains("nic ==> ", "PCI Express", "00000030  ").doesNotContain("Error", "Exception");
        assertThat(run.exitCode()).isZero();
    }

    /** A statement goes on in a line that begins with a dot or with else; arguments, a first line for Unix, an end. */
    @Test
    void aScriptIsAProgram() throws Exception {
        Path script = Files.writeString(folder.resolve("program.jsh"), """
                #!/usr/bin/env -S scripts/shell
                String words = String.join("+", args())
                        .toUpperCase()
                if (words.isEmpty()) {
                    System.out.println("none");
                }
                else {
                    System.out.println(words + " " + Duration.ofSeconds(90) + " " + kvm_regs.sizeof());
                }
                /exit 5
                System.out.println("not reached")
                """);
        assertThat(finish(start("--mock", script.toString(), "a", "b"), ""))
                .isEqualTo(new Run(5, "A+B PT1M30S 144\n", ""));
        assertThat(finish(start("--mock", "-", "x"), "System.out.println(args()[0])")).isEqualTo(new Run(0, "x\n", ""));
    }

    @Test
    void whatIsMissingIsNamed() throws Exception {
        assertThat(script("void outer() { inner(1); }\nouter()").err())
                .contains(":2: there is no method inner(int), which outer needs");
        assertThat(script("/reset").err()).contains(":1: /exit is the only command in a script, not /reset");
    }

    @Test
    void allSnippetsRunOnOneThread() throws Exception {
        Run run = type("var vm = kvm().createVm()", "var vcpu = vm.createVcpu(0)",
                "mock.guest(vm.fd().number()).program(0, cpu -> { cpu.out(0x3f8, 1, 'A'); cpu.out(0x3f8, 1, 'B'); })"
                        .replace("mock", "((MockKernel) kernel())"),
                "vcpu.run()", "vcpu.run()", "vcpu.run()", "regs(vcpu)", "/exit");
        assertThat(run.out()).contains("write of 0x41 to port 0x3f8", "write of 0x42 to port 0x3f8", "halt",
                "rip   000000000000fff0", "cr0   0000000060000010").doesNotContain("Exception");
        assertThat(run.exitCode()).isZero();
    }

    @Test
    void helpersPrintWhatPeopleRead() throws Exception {
        Run run = type("var nic = attach(\"vfio0\")", "regions(nic)", "config(nic)",
                "hexdump(nic.device().region(Region.CONFIG), 0, 20)", "doctor()", "devices().get(0).address()",
                "devices().size()", "nic.close()", "bind(\"6d:00.0\")", "unbind(\"6d:00.0\")", "var done = eventFd()",
                "/exit");
        assertThat(run.out()).contains(" 0  BAR 0               0x20000 bytes  read write mmap",
                "00000000  86 80 d3 10 ", "00000010  ", "ok       kvm ", "==> 0000:6a:01.0", "==> 6",
                "==> 0000:6d:00.0: vfio-pci, for vfio-pci only", "==> 0000:6d:00.0: no driver")
                .doesNotContain("Exception", "BAR 4");
        assertThat(run.err()).isEmpty();
        assertThat(run.exitCode()).isZero();
    }

    /** At a terminal; and what was typed is there at the next start. */
    @Test
    @Timeout(value = 5, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void ctrlCEndsAWaitAndAGuestAndNothingElse() throws Exception {
        List<String> line = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED", "-XX:TieredStopAtLevel=1",
                "-Dshell.imports=" + SCRIPTS.resolve("shell.d/imports.jsh"), "-cp",
                System.getProperty("java.class.path") + File.pathSeparator + System.getProperty("jdk.module.path", ""),
                Shell.class.getName(), "--mock"));
        ProcessBuilder builder = new ProcessBuilder("script", "-qec", "'" + String.join("' '", line) + "'", "/dev/null")
                .redirectErrorStream(true);
        builder.environment().putAll(Map.of("XDG_STATE_HOME", folder.resolve("state").toString(), "TERM", "xterm"));
        Process process = builder.start();
        try (var typed = process.outputWriter(); var printed = process.inputReader()) {
            readUntil(printed, "2004h");
            for (String text : List.of("System.out.println(\"wait\" + 1); eventFd().await(Duration.ofHours(1))",
                    "\u0003",
                    "var vm = kvm().createVm(); var vcpu = vm.createVcpu(0); vm.interrupts()",
                    "((MockKernel) kernel()).guest(vm.fd().number()).program(0, cpu -> { while (true) cpu.out(1, 1, 0); })",
                    "System.out.println(\"wait\" + 1); while (true) { vcpu.run(); }", "\u0003", "6 * 7",
                    "vcpu.isOpen()",
                    "/exit")) {
                typed.write(text.equals("\u0003") ? text : text + "\n");
                typed.flush();
                readUntil(printed, text.contains("wait") ? "wait1" : text.equals("/exit") ? "" : "2004h");
                Thread.sleep(text.contains("wait") ? 1000 : 0);
            }
            assertThat(process.waitFor()).isZero();
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
        assertThat(Files.readString(folder.resolve("state/kvm-vfio/shell-history")))
                .contains("6 * 7", "eventFd().await")
                .doesNotContain("/set mode");
    }

    private static void readUntil(BufferedReader printed, String end) throws IOException {
        StringBuilder out = new StringBuilder();
        while (!out.toString().contains(end)) {
            int next = printed.read();
            assertThat(next).as("%s", out).isNotNegative();
            out.append((char) next);
        }
    }

    @Test
    void wrongUsage() throws Exception {
        assertThat(finish(start("--fast"), ""))
                .isEqualTo(new Run(2, "", "usage: shell [--mock] [SCRIPT [ARGUMENT…]]\n"));
        assertThat(finish(start("none.jsh"), "")).isEqualTo(new Run(1, "", "shell: cannot read none.jsh\n"));
        assertThat(finish(start(folder.toString()), "").err())
                .isEqualTo("shell: cannot read " + folder + ": it is a folder\n");
        Path latin = Files.write(folder.resolve("latin.jsh"), new byte[]{'/', '/', (byte) 0xe9});
        assertThat(finish(start(latin.toString()), "").err())
                .isEqualTo("shell: cannot read " + latin + ": it is no text in UTF-8\n");
    }
}
