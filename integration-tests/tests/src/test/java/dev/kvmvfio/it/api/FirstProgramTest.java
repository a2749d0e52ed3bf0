package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The first program that a user runs, as the launcher of Java source runs it, on a real /dev/kvm. */
@Tag("kvm")
class FirstProgramTest {
    @Test
    @Timeout(value = 5, unit = TimeUnit.MINUTES)
    void theGuestSaysHello() throws Exception {
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "--enable-native-access=ALL-UNNAMED", "--class-path", System.getProperty("java.class.path"),
                Path.of(System.getProperty("project.root"), "scripts/examples/HelloVm.java").toString())
                .redirectErrorStream(true).start();
        assertThat(new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                .isEqualTo("Hello from a virtual machine\n");
        assertThat(process.waitFor()).isZero();
    }
}
