package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceNumberTest {
    @Test
    void theSeamAndSysfsSayTheSame() {
        DeviceNumber kvm = DeviceNumber.parse("10:232");
        assertThat(kvm).isEqualTo(new DeviceNumber(10, 232)).isEqualTo(DeviceNumber.of(10L << 32 | 232))
                .hasToString("10:232");
        assertThat(DeviceNumber.of(Kernel.linux().deviceNumber("/dev/null"))).hasToString("1:3");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "10", "10:", ":3", "1:2:3", "a:b"})
    void whatIsNone(String text) {
        assertThatThrownBy(() -> DeviceNumber.parse(text)).isInstanceOf(IllegalArgumentException.class);
    }
}
