package dev.kvmvfio.pci;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PciAddressTest {
    @ParameterizedTest
    @CsvSource({"0000:6a:01.0, 0, 106, 1, 0", "6a:01.0, 0, 106, 1, 0", "FFFF:FF:1F.7, 65535, 255, 31, 7",
        "10000:e0:06.0, 65536, 224, 6, 0", "ffffffff:00:00.0, -1, 0, 0, 0", "00010000:00:00.0, 65536, 0, 0, 0"})
    void readsWhatPeopleWrite(String text, int domain, int bus, int device, int function) {
        assertThat(PciAddress.parse(text)).isEqualTo(new PciAddress(domain, bus, device, function));
    }

    @ParameterizedTest
    @ValueSource(strings = {"0000:6a:01.0", "ffff:ff:1f.7", "10000:e0:06.0", "ffffffff:00:00.0"})
    void writesAsTheKernelDoes(String text) {
        assertThat(PciAddress.parse(text)).hasToString(text);
        assertThat(PciAddress.parse(text.toUpperCase())).hasToString(text);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", " ", ".", "..", "../", "../../../etc/passwd", "0000:6a:01.0/..", "../0000:6a:01.0",
        "0000:6a:01.0\n", " 0000:6a:01.0", "0000:6a:01.0 ", "0000:6a:01.0\0", "0000:6a:01.8", "0000:6a:20.0",
        "0000:6a:1.0", "0000:6a:01.00", "0000:6a:01", "0000:6a:01:0", "0000.6a.01.0", "0000:100:01.0", "0000:a:01.0",
        "000:6a:01.0", "100000000:00:00.0", ":6a:01.0", "0000:6g:01.0", "-000:6a:01.0", "0x00:6a:01.0", "*:*:*.*",
        "٠٠٠٠:6a:01.0", "eth0", "vfio-pci"})
    void refusesEverythingElse(String text) {
        assertThatThrownBy(() -> PciAddress.parse(text)).isInstanceOf(IllegalArgumentException.class)
                .hasMessage("\"" + text + "\" is no PCI address: write it like 0000:6a:01.0, as lspci -D does");
    }

    @ParameterizedTest
    @CsvSource({"256, 0, 0", "-1, 0, 0", "0, 32, 0", "0, -1, 0", "0, 0, 8", "0, 0, -1"})
    void refusesNumbersThatAreTooLarge(int bus, int device, int function) {
        assertThatThrownBy(() -> new PciAddress(0, bus, device, function)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void sortsAsLspciDoes() {
        List<PciAddress> sorted = Stream.of("ffffffff:00:00.0", "0000:80:00.0", "10000:00:00.0", "0000:00:1f.0",
                "0000:00:02.1", "0000:00:02.0", "0001:00:00.0").map(PciAddress::parse).sorted().toList();
        assertThat(sorted).extracting(PciAddress::toString).containsExactly("0000:00:02.0", "0000:00:02.1",
                "0000:00:1f.0",
                "0000:80:00.0", "0001:00:00.0", "10000:00:00.0", "ffffffff:00:00.0");
        assertThat(sorted.getFirst()).isEqualByComparingTo(PciAddress.parse("00:02.0"));
    }
}
