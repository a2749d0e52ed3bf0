package dev.kvmvfio.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** What Linux is given to boot with, and its serial port. */
@Tag("mock")
class LinuxBootTest {
    private static final int MEMORY = 32 << 20;
    private static final int KERNEL_AT = 16 << 20;
    private static final int SETUP_SECTORS = 2;

    /** The header of a bzImage, two sectors of set-up code, and a kernel of four bytes. */
    private static ByteBuffer bzImage() {
        ByteBuffer image = ByteBuffer.allocate((1 + SETUP_SECTORS) * 512 + 4).order(ByteOrder.LITTLE_ENDIAN);
        image.put(0x1f1, (byte) SETUP_SECTORS).put(0x201, (byte) 0x6a).putInt(0x202, 0x53726448);
        image.putShort(0x206, (short) 0x020f).putShort(0x236, (short) 1).putInt(0x238, 64);
        image.putLong(0x258, KERNEL_AT).putInt(0x260, 1 << 20).putInt((1 + SETUP_SECTORS) * 512, 0x1234);
        return image;
    }

    private static long place(MemorySegment ram, ByteBuffer image, String commandLine) {
        return LinuxLoader.place(ram, new LinuxImage(image.array(), new byte[]{1, 2, 3}, commandLine));
    }

    @Test
    void theKernelFindsItsParametersInTheZeroPage() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment ram = arena.allocate(MEMORY, 4096);
            assertThat(place(ram, bzImage(), "console=ttyS0")).isEqualTo(KERNEL_AT + 0x200);
            assertThat(ram.get(ValueLayout.JAVA_INT, KERNEL_AT)).isEqualTo(0x1234);
            MemorySegment zeroPage = ram.asSlice(LongMode.FREE, 4096);
            assertThat(zeroPage.get(ValueLayout.JAVA_INT_UNALIGNED, 0x202)).isEqualTo(0x53726448);
            assertThat(ram.getString(zeroPage.get(ValueLayout.JAVA_INT, 0x228))).isEqualTo("console=ttyS0");
            assertThat(zeroPage.get(ValueLayout.JAVA_INT, 0x218)).isEqualTo(MEMORY - 4096);
            assertThat(zeroPage.get(ValueLayout.JAVA_INT, 0x21c)).isEqualTo(3);
            assertThat(ram.get(ValueLayout.JAVA_BYTE, MEMORY - 4096 + 2)).isEqualTo((byte) 3);
            assertThat(zeroPage.get(ValueLayout.JAVA_BYTE, 0x1e8)).as("ranges of memory").isEqualTo((byte) 2);
            assertThat(zeroPage.get(ValueLayout.JAVA_LONG_UNALIGNED, 0x2d0 + 20)).isEqualTo(1 << 20);
            assertThat(zeroPage.get(ValueLayout.JAVA_LONG_UNALIGNED, 0x2d0 + 28)).isEqualTo(MEMORY - (1 << 20));
        }
    }

    @Test
    void whatCannotBootIsRefused() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment ram = arena.allocate(MEMORY, 4096);
            assertThatThrownBy(() -> place(ram, ByteBuffer.allocate(4096), ""))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("no bzImage");
            assertThatThrownBy(() -> place(ram, bzImage().putShort(0x236, (short) 0), ""))
                    .hasMessageContaining("64-bit");
            assertThatThrownBy(() -> place(ram, bzImage(), "x".repeat(65))).hasMessageContaining("64 characters");
            assertThatThrownBy(() -> place(ram.asSlice(0, KERNEL_AT), bzImage(), ""))
                    .hasMessageContaining("memory are too few");
        }
    }

    @Test
    void aFileIsAppendedToTheInitialRamDisk() {
        byte[] archive = Cpio.append("12345".getBytes(StandardCharsets.US_ASCII), "command", "echo\n");
        String text = new String(archive, StandardCharsets.US_ASCII);
        assertThat(text).startsWith("12345\0\0\0" + "070701" + "00000000" + "000081ED");
        // The header has 110 characters, and the name is padded with it.
        assertThat(text.indexOf("command\0")).isEqualTo(8 + 110);
        assertThat(text.indexOf("echo\n")).isEqualTo(8 + 120);
        assertThat(text).contains("TRAILER!!!\0");
        assertThat(archive.length % 4).isZero();
    }

    @Test
    void theSerialPortSendsAndInterrupts() {
        ByteArrayOutputStream console = new ByteArrayOutputStream();
        List<Boolean> line = new ArrayList<>();
        Serial8250 serial = new Serial8250(console, line::add);
        serial.write(0, 1, 'a');
        assertThat(line).as("not allowed yet").isEmpty();
        assertThat(serial.read(2, 1) & 1).as("no interrupt").isEqualTo(1);
        serial.write(1, 1, 2);
        serial.write(0, 1, 'b');
        assertThat(line).containsExactly(true, false, true);
        assertThat(serial.read(2, 1) & 0xf).isEqualTo(2);
        assertThat(serial.read(2, 1) & 0xf).as("once").isEqualTo(1);
        assertThat(line).endsWith(false);
        assertThat(serial.read(5, 1)).isEqualTo(0x60);
        assertThat(console).hasToString("ab");
    }

    @Test
    void theSerialPortIsFoundByADriverThatLooks() {
        ByteArrayOutputStream console = new ByteArrayOutputStream();
        Serial8250 serial = new Serial8250(console, _ -> {
        });
        serial.write(7, 1, 0x5a);
        assertThat(serial.read(7, 1)).as("scratch").isEqualTo(0x5a);
        serial.write(2, 1, 1);
        assertThat(serial.read(2, 1) >> 6).as("FIFOs").isEqualTo(3);
        serial.write(4, 1, 0x1a);
        assertThat(serial.read(6, 1) & 0xf0).as("loopback of RTS and OUT2").isEqualTo(0x90);
        serial.write(0, 1, 'x');
        serial.write(3, 1, 0x80);
        serial.write(0, 1, 3);
        assertThat(serial.read(0, 1)).as("divisor").isEqualTo(3);
        assertThat(console.size()).as("neither was sent").isZero();
    }

    @Test
    void theClockTellsTheTimeInDecimal() {
        Clock clock = new Clock();
        clock.write(0, 1, 0x32);
        assertThat(clock.read(1, 1)).isEqualTo(0x20);
        clock.write(0, 1, 0x0a);
        assertThat(clock.read(1, 1) & 0x80).as("an update is never in progress").isZero();
        clock.write(0, 1, 0x08);
        assertThat(clock.read(1, 1)).isBetween(0x01, 0x12);
    }
}
