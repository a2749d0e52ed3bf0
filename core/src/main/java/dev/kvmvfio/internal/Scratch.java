package dev.kvmvfio.internal;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;

/**
 * Memory for the arguments of one system call, kept per thread so that a call allocates nothing. What
 * {@link #begin()} hands out is valid until the same thread begins again, so only the method that makes the call may
 * hold it.
 *
 * <p><b>Thread-safety:</b> each thread has its own.
 */
public final class Scratch implements SegmentAllocator {
    private static final long SIZE = 4096;
    private static final ThreadLocal<Scratch> OF_THREAD = ThreadLocal.withInitial(Scratch::new);

    private final MemorySegment memory = Arena.ofAuto().allocate(SIZE, Long.BYTES);
    private long used;

    private Scratch() {
    }

    /**
     * Starts a new call on this thread; what an earlier call used is free again.
     *
     * @return an allocator of zeroed memory
     */
    public static Scratch begin() {
        Scratch scratch = OF_THREAD.get();
        scratch.used = 0;
        return scratch;
    }

    @Override
    public MemorySegment allocate(long byteSize, long byteAlignment) {
        long start = used + byteAlignment - 1 & -byteAlignment;
        if (byteAlignment > Long.BYTES || byteSize > SIZE - start) {
            return Arena.ofAuto().allocate(byteSize, byteAlignment);
        }
        used = start + byteSize;
        return memory.asSlice(start, byteSize).fill((byte) 0);
    }
}
