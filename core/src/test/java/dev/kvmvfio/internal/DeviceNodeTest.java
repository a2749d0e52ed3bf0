package dev.kvmvfio.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import org.junit.jupiter.api.Test;

class DeviceNodeTest {
    @Test
    void aRefusedOpenSaysWhatAndWhy() {
        assertThatThrownBy(
                () -> DeviceNode.open(Kernel.linux(), "/dev/null/x", errno -> "It was " + errno))
                .isInstanceOfSatisfying(KernelException.class, refused -> {
                    assertThat(refused.errno()).isEqualTo(Errno.ENOTDIR);
                    assertThat(refused.operation()).isEqualTo("open");
                    assertThat(refused.remedy()).isEqualTo("It was ENOTDIR");
                }).hasMessage("open on /dev/null/x: ENOTDIR (Not a directory). It was ENOTDIR");
    }
}
