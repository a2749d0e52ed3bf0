package dev.kvmvfio.kvm.x86;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class CpuidEntryTest {
    @Test
    void whatTellsAnApicIdTellsTheVcpusOwn() {
        assertThat(Stream.of(0x0, 0x1, 0xb, 0x1f, 0x8000_001e).map(CpuidEntryTest::ofTheHost)
                .map(entry -> entry.withApicId(3))).containsExactly(
                        new CpuidEntry(0x0, 1, 1, 0x11111111, 0x22222222, 0x33333333, 0x44444444),
                        new CpuidEntry(0x1, 1, 1, 0x11111111, 0x03222222, 0x33333333, 0x44444444),
                        new CpuidEntry(0xb, 1, 1, 0x11111111, 0x22222222, 0x33333333, 3),
                        new CpuidEntry(0x1f, 1, 1, 0x11111111, 0x22222222, 0x33333333, 3),
                        new CpuidEntry(0x8000_001e, 1, 1, 3, 0x22222222, 0x33333333, 0x44444444));
    }

    private static CpuidEntry ofTheHost(int function) {
        return new CpuidEntry(function, 1, 1, 0x11111111, 0x22222222, 0x33333333, 0x44444444);
    }
}
