package dev.kvmvfio.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonParser;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.KvmVfioException;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What another user of the machine can write does not reach a terminal, and is not believed. */
class HostileNeighbourTest extends CommandLineTest {
    /** Sets the terminal's title, forges a line, writes from right to left. */
    private static final String EVIL = "\u001b]0;owned\u0007\nkvm-vfio: ok\r\u009b31m\u202e\u2028";
    private static final String SHOWN = "\\u001b]0;owned\\u0007\\nkvm-vfio: ok\\r\\u009b31m\\u202e\\u2028"
            .replace("\\n", "\\u000a").replace("\\r", "\\u000d");
    private static final String NVME = "0000:6c:00.1";

    @TempDir
    private Path folder;

    private static MockKernel hostWith(String path, String text) {
        return MockKernel.host(KernelProfile.V6_12)
                .device(NVME, d -> d.id(0x144d, 0xa80a).classCode(0x010802).group(28).driver("nvme")
                        .disk("nvme0n1").bar64(0, 1 << 14))
                .file(path, text).start();
    }

    @Test
    void controlCharactersAreShown() {
        assertThat(Visible.of(EVIL)).isEqualTo(SHOWN);
        assertThat(Visible.of("Größe, 大小, 😀")).isEqualTo("Größe, 大小, 😀");
        Output.to(out).line(EVIL);
        assertThat(out.toString()).isEqualTo(SHOWN + "\n");
    }

    @Test
    void aMountPointIsText() {
        try (MockKernel host = hostWith("/proc/self/mountinfo",
                "1 1 259:0 / /mnt/" + EVIL.replace("\n", "").replace("\r", "") + " rw - ext4 /dev/nvme0n1 rw\n")) {
            assertThatThrownBy(() -> DriverBinding.bind(PciDevice.find(host, PciAddress.parse(NVME)), "vfio-pci"))
                    .isInstanceOfSatisfying(KvmVfioException.class,
                            refused -> Output.to(out).line(refused.getMessage()));
        }
        assertThat(out.toString()).contains("is mounted at /mnt/\\u001b]0;owned\\u0007").hasLineCount(1)
                .doesNotContain("\u001b");
    }

    @Test
    void aNameInPciIdsIsText() {
        try (MockKernel host = hostWith("/usr/share/misc/pci.ids", "144d  Evil" + EVIL.replace("\n", "") + "\n")) {
            Candidate device = Candidate.list(host).getFirst();
            Output.to(out).line(device.toString());
            Output.to(err).lines(Json.of(device.name().orElseThrow()));
        }
        assertThat(out.toString()).hasLineCount(1).contains("Evil\\u001b").doesNotContain("\u001b", "\u009b");
        assertThat(err.toString()).doesNotContain("\u009b", "\u202e");
        assertThat(JsonParser.parseString(err.toString()).getAsString()).startsWith("Evil\u001b");
    }

    @Test
    void anArgumentIsText() throws IOException {
        assertThat(run("list", "--mock", EVIL)).isEqualTo(2);
        assertThat(err.toString()).contains(SHOWN).hasLineCount(1);
        assertThat(run(EVIL)).isEqualTo(2);
        assertThat(run("list", "--" + EVIL)).isEqualTo(2);
        assertThat(err.toString()).doesNotContain("\u001b", "\u009b").hasLineCount(3);
    }

    @Test
    void everybodyReadsAndNobodyWritesWhateverTheUmaskIs() throws Exception {
        Path files = folder.resolve("run");
        Process process = new ProcessBuilder("sh", "-c", "umask 0; exec \"$@\"", "sh",
                ProcessHandle.current().info().command().orElseThrow(), "-cp",
                System.getProperty("java.class.path") + File.pathSeparator + System.getProperty("jdk.module.path", ""),
                Writer.class.getName(), files.toString()).inheritIO().start();
        assertThat(process.waitFor()).isZero();
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(files))).isEqualTo("rwxr-xr-x");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(files.resolve("name"))))
                .isEqualTo("rw-r--r--");
        assertThat(new HostFiles(files).read("name")).contains("text");
    }

    /** Writes a file, in a process with another umask. */
    static final class Writer {
        private Writer() {
        }

        public static void main(String[] arguments) {
            new HostFiles(Path.of(arguments[0])).write("name", "text");
        }
    }

    @Test
    void whatOthersCouldHaveWrittenIsNotBelieved() throws IOException {
        HostFiles files = new HostFiles(folder.resolve("run"));
        files.write("name", "text");
        Path file = files.folder().resolve("name");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-rw-rw-"));
        assertNotBelieved(files);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
        Files.setPosixFilePermissions(files.folder(), PosixFilePermissions.fromString("rwxrwxrwx"));
        assertNotBelieved(files);
        assertThatThrownBy(() -> files.write("name", "more")).isInstanceOf(HostException.class);
        Files.setPosixFilePermissions(files.folder(), PosixFilePermissions.fromString("rwxr-xr-x"));
        Files.delete(file);
        Files.createSymbolicLink(file, Files.writeString(folder.resolve("elsewhere"), "evil"));
        assertNotBelieved(files);
    }

    private static void assertNotBelieved(HostFiles files) {
        assertThatThrownBy(() -> files.read("name")).isInstanceOf(HostException.class)
                .hasMessageContaining("is not believed");
    }

    @Test
    void aDriverIsANameAndNoPath() throws IOException {
        try (MockKernel host = hostWith("/tmp/none", "")) {
            PciDevice device = PciDevice.find(host, PciAddress.parse(NVME));
            for (String path : List.of("../../../../tmp/evil", "a/b", "..", "", "a\nb")) {
                assertThatThrownBy(() -> DriverBinding.bind(device, path)).isInstanceOf(IllegalArgumentException.class);
                assertThatThrownBy(() -> new DriverBinding(device, Optional.empty(), Optional.of(path)))
                        .isInstanceOf(IllegalArgumentException.class);
            }
            PreviousBinding remembered = new PreviousBinding(new HostFiles(folder.resolve("run")));
            remembered.files().write(NVME + ".binding", "../../../../tmp/evil\n\n");
            assertThatThrownBy(() -> remembered.load(device)).isInstanceOf(HostException.class);
        }
    }

    private String bash(String script, String... arguments) throws Exception {
        List<String> line = new ArrayList<>(List.of("bash", "-c", script, "test"));
        line.addAll(List.of(arguments));
        Process process = new ProcessBuilder(line).redirectErrorStream(true).start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return text + process.waitFor();
    }

    @Test
    void aCacheThatOthersCanWriteIsRefused() throws Exception {
        String ask = "source own-folder.sh; own_folder \"$1\"";
        Path cache = folder.resolve("cache");
        assertThat(bash("umask 0; " + ask, cache.toString())).isEqualTo("0");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(cache))).isEqualTo("rwxr-xr-x");
        Files.setPosixFilePermissions(cache, PosixFilePermissions.fromString("rwxrwxrwx"));
        assertThat(bash(ask, cache.toString())).contains("with mode 777, so it is not used").endsWith("1");
        // Somebody else's: root's for a user, and a user's for root.
        String others = "((EUID)) && set -- /usr || { chmod 755 \"$1\"; chown 65534 \"$1\"; }; " + ask;
        assertThat(bash(others, cache.toString())).contains("belongs to ", "so it is not used").endsWith("1");
    }

    /** With a Maven that says who runs it. */
    @Test
    void rootBuildsAsTheOwner() throws Exception {
        Path project = folder.resolve("project");
        Files.createDirectories(project.resolve("bin"));
        Files.writeString(project.resolve("bin/mvn"), "#!/bin/sh\nid -u >&2\nmkdir -p scripts/target/lib\n");
        String build = """
                cp -r build java-home launch.sh kvm-vfio "$1/"; mkdir "$1/scripts"; mv "$1"/{build,java-home,launch.sh,kvm-vfio} "$1/scripts"
                chmod 755 "$1/bin/mvn" "$1" "$1/.."
                owner=$EUID
                if ((EUID == 0)); then owner=65534 && chown -R 65534 "$1"; fi
                PATH=$1/bin:$PATH "$1/scripts/build" 2>&1 | grep -x "$owner"
                [[ ! $(find "$1/scripts/target" ! -user "$owner") ]]
                """;
        assertThat(bash(build, project.toString())).matches("\\d+\n0");
    }

    @Test
    void whatIsRememberedComesBack() {
        try (MockKernel host = hostWith("/tmp/none", "")) {
            PciDevice device = PciDevice.find(host, PciAddress.parse(NVME));
            DriverBinding binding = DriverBinding.of(device);
            PreviousBinding remembered = new PreviousBinding(new HostFiles(folder.resolve("run")));
            remembered.save(binding);
            assertThat(remembered.load(device)).contains(binding);
            remembered.forget(device);
            assertThat(remembered.load(device)).isEmpty();
            BootRule rule = new BootRule(new HostFiles(folder.resolve("rules")));
            rule.write(device, "vfio-pci");
            assertThat(rule.files().read("60-kvm-vfio-" + NVME + ".rules").orElseThrow().lines().skip(1))
                    .singleElement()
                    .isEqualTo(
                            "ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"0000:6c:00.1\", ATTR{vendor}==\"0x144d\", "
                                    + "ATTR{device}==\"0xa80a\", ATTR{driver_override}=\"vfio-pci\", "
                                    + "RUN{builtin}+=\"kmod load vfio-pci\", "
                                    + "RUN+=\"/bin/sh -c 'echo 0000:6c:00.1 > /sys/bus/pci/drivers_probe'\"");
            assertThat(rule.remove(device)).isTrue();
        }
    }
}
