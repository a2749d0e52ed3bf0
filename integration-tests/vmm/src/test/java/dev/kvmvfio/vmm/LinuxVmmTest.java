package dev.kvmvfio.vmm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The program's command line. */
@Tag("mock")
class LinuxVmmTest {
    private static final String USAGE = "Usage: vmm [OPTION…] VMLINUZ INITRAMFS";

    @TempDir
    private Path folder;
    private final MockKernel host = MockKernel.host(KernelProfile.V6_12).start();
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteArrayOutputStream err = new ByteArrayOutputStream();

    @BeforeEach
    void writeTheFiles() throws IOException {
        Files.writeString(folder.resolve("vmlinuz"), "no kernel");
        Files.writeString(folder.resolve("initramfs"), "no archive");
    }

    /** Throws when anything is left open. */
    @AfterEach
    void nothingIsLeft() {
        host.close();
    }

    private int run(String line) {
        String[] arguments = line.isEmpty() ? new String[0] : line.replace("@", folder + "/").split(" ");
        return LinuxVmm.run(host, arguments, print(out), print(err));
    }

    private static PrintStream print(ByteArrayOutputStream to) {
        return new PrintStream(to, true, StandardCharsets.UTF_8);
    }

    @Test
    void helpTellsTheUsage() {
        assertThat(run("--help")).isZero();
        assertThat(out.toString(StandardCharsets.UTF_8)).startsWith(USAGE).contains("--device <ADDRESS>",
                "--interface <cdev|group>", "--memory <MIB>", "--append <ARGUMENTS>", "--command <SCRIPT>");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "@vmlinuz", "@vmlinuz @initramfs @initramfs", "@vmlinuz @nothing",
        "--nonsense @vmlinuz @initramfs", "--interface bus @vmlinuz @initramfs", "--memory 0 @vmlinuz @initramfs",
        "--device 6a:01 @vmlinuz @initramfs"})
    void aWrongLineIsAnsweredWithTheUsage(String line) {
        assertThat(run(line)).isEqualTo(LinuxVmm.WRONG_USAGE);
        assertThat(err.toString(StandardCharsets.UTF_8)).startsWith("vmm: ").contains("\n" + USAGE);
    }

    @Test
    void whatIsNoKernelIsRefused() {
        assertThat(run("@vmlinuz @initramfs")).isEqualTo(LinuxVmm.REFUSED);
        assertThat(err.toString(StandardCharsets.UTF_8)).startsWith("vmm: the kernel is no bzImage");
    }

    @Test
    void whatTheHostRefusesIsTold() {
        host.failCall(1, Errno.ENOMEM);
        assertThat(run("@vmlinuz @initramfs")).isEqualTo(LinuxVmm.REFUSED);
        assertThat(err.toString(StandardCharsets.UTF_8)).startsWith("vmm: ").contains("ENOMEM");
    }
}
