package dev.kvmvfio.internal;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ScratchTest {
    private static final long SLAB = 4096;

    private static byte[] zeroes(long size) {
        return new byte[(int) size];
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 8, 24, SLAB, SLAB + 1, 3 * SLAB})
    void isZeroedEachTime(long size) {
        for (int i = 0; i < 3; i++) {
            MemorySegment memory = Scratch.begin().allocate(size);
            assertThat(memory.toArray(ValueLayout.JAVA_BYTE)).isEqualTo(zeroes(size));
            memory.fill((byte) 0xa5);
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 4, 8, 16, 64, 4096})
    void isAligned(long alignment) {
        Scratch scratch = Scratch.begin();
        for (int i = 0; i < 5; i++) {
            assertThat(scratch.allocate(3, alignment).address() % alignment).isZero();
        }
    }

    @Test
    void oneCallsPiecesAreApart() {
        Scratch scratch = Scratch.begin();
        MemorySegment first = scratch.allocate(5, 1).fill((byte) 1);
        MemorySegment second = scratch.allocate(16, 8).fill((byte) 2);
        MemorySegment beyond = scratch.allocate(SLAB, 8).fill((byte) 3);
        MemorySegment rest = scratch.allocate(SLAB - 24, 1).fill((byte) 4);
        MemorySegment none = scratch.allocate(1, 1).fill((byte) 5);
        assertThat(first.toArray(ValueLayout.JAVA_BYTE)).containsOnly(1);
        assertThat(second.toArray(ValueLayout.JAVA_BYTE)).containsOnly(2);
        assertThat(beyond.toArray(ValueLayout.JAVA_BYTE)).containsOnly(3);
        assertThat(rest.toArray(ValueLayout.JAVA_BYTE)).containsOnly(4);
        assertThat(none.toArray(ValueLayout.JAVA_BYTE)).containsOnly(5);
        assertThat(rest.address()).isEqualTo(first.address() + 24);
    }

    @Test
    void callsOfOneThreadShareMemoryAndThreadsDoNot() {
        long here = Scratch.begin().allocate(8).address();
        assertThat(Scratch.begin().allocate(8).address()).isEqualTo(here);
        assertThat(
                CompletableFuture.supplyAsync(() -> Scratch.begin().allocate(8).address(), Thread::startVirtualThread)
                        .join())
                .isNotEqualTo(here);
    }
}
