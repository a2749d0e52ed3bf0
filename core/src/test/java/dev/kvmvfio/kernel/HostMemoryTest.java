package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Scratch;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HostMemoryTest {
    private static final Kernel LINUX = Kernel.linux();
    private static final int PAGE = LINUX.pageSize();

    private static final class User extends Handle {
        private final HostMemory memory;

        User(HostMemory memory) {
            super(Rank.LINK);
            this.memory = memory;
        }

        @Override
        protected void release() {
            memory.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
        }

        @Override
        public String toString() {
            return "a guest";
        }
    }

    /** What the kernel says of this process's address space. */
    private static boolean isMapped(long address) throws IOException {
        return Files.readAllLines(Path.of("/proc/self/maps")).stream().map(line -> line.split("[- ]")).anyMatch(
                range -> Long.compareUnsigned(Long.parseUnsignedLong(range[0], 16), address) <= 0
                        && Long.compareUnsigned(address, Long.parseUnsignedLong(range[1], 16)) < 0);
    }

    @Test
    void isZeroedWritablePages() throws IOException {
        try (HostMemory memory = HostMemory.allocate(LINUX, 3 * PAGE)) {
            MemorySegment segment = memory.segment();
            assertThat(memory.size()).isEqualTo(3 * PAGE);
            assertThat(segment.address() % PAGE).isZero();
            assertThat(segment.toArray(ValueLayout.JAVA_BYTE)).isEqualTo(new byte[3 * PAGE]);
            segment.fill((byte) 7);
            assertThat(isMapped(segment.address() + 3 * PAGE - 1)).isTrue();
        }
    }

    @Test
    void isGoneAfterTheClose() throws IOException {
        HostMemory memory = HostMemory.allocate(LINUX, 1 << 20);
        MemorySegment segment = memory.segment();
        MemorySegment part = segment.asSlice(PAGE, 8);
        assertThat(isMapped(segment.address())).isTrue();
        memory.close();
        assertThat(isMapped(segment.address())).isFalse();
        assertThatThrownBy(() -> segment.get(ValueLayout.JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> part.set(ValueLayout.JAVA_LONG, 0, 1)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> memory.addressOf(0, PAGE)).isInstanceOf(IllegalStateException.class)
                .hasMessageEndingWith("is closed");
        memory.close();
    }

    @Test
    void takesAlongWhatUsesIt() throws IOException {
        HostMemory memory = HostMemory.allocate(LINUX, PAGE);
        User user = Lifecycle.adopt(new User(memory), memory);
        memory.close();
        assertThat(user.isOpen()).isFalse();
        assertThat(isMapped(memory.segment().address())).isFalse();
    }

    /** The call has the address, and would write to whatever is mapped there next. */
    @Test
    void staysUntilACallThatUsesItReturns() throws Exception {
        HostMemory memory = HostMemory.allocate(LINUX, PAGE);
        MemorySegment buffer = memory.segment().asSlice(0, Long.BYTES);
        int blocking = LINUX.eventfd(0, 0);
        Thread reader = Thread.ofPlatform().start(() -> LINUX.read(blocking, buffer));
        awaitCall(blocking, buffer.address());
        Thread closer = Thread.ofPlatform().start(memory::close);
        assertThat(closer.join(Duration.ofMillis(20))).isFalse();
        assertThat(isMapped(buffer.address())).isTrue();
        LINUX.write(blocking, Scratch.begin().allocateFrom(ValueLayout.JAVA_LONG, 5));
        reader.join();
        closer.join();
        assertThat(isMapped(buffer.address())).isFalse();
        LINUX.close(blocking);
    }

    /** Waits until a thread is inside a system call with these arguments. */
    private static void awaitCall(int fd, long address) throws IOException {
        String arguments = String.format(" 0x%x 0x%x ", fd, address);
        long end = System.nanoTime() + 30_000_000_000L;
        while (System.nanoTime() < end) {
            for (File task : new File("/proc/self/task").listFiles()) {
                try {
                    if (Files.readString(task.toPath().resolve("syscall")).contains(arguments)) {
                        return;
                    }
                } catch (NoSuchFileException endedMeanwhile) {
                    continue;
                }
            }
        }
        throw new AssertionError("no thread is in a call with" + arguments);
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -4096, 1, 4095, 4097, Long.MIN_VALUE, Long.MAX_VALUE})
    void isWholePages(long size) {
        assertThatThrownBy(() -> HostMemory.allocate(LINUX, size)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void tooMuchIsRefusedByTheKernel() {
        assertThatThrownBy(() -> HostMemory.allocate(LINUX, 1L << 60)).isInstanceOfSatisfying(KernelException.class,
                refused -> assertThat(refused.errno()).isEqualTo(Errno.ENOMEM)).hasMessageContaining("length=");
    }

    @ParameterizedTest
    @CsvSource({"1, 4096", "0, 1", "0, 0", "0, -4096", "-4096, 4096", "4096, 8192", "8192, 4096",
        "9223372036854771712, 4096", "0, 9223372036854771712"})
    void partsAreWholePagesWithinIt(long offset, long length) {
        try (HostMemory memory = HostMemory.allocate(LINUX, 2 * PAGE)) {
            assertThatThrownBy(() -> memory.addressOf(offset, length)).isInstanceOf(IllegalArgumentException.class);
            assertThat(memory.addressOf(PAGE, PAGE)).isEqualTo(memory.segment().address() + PAGE);
        }
    }
}
