package dev.kvmvfio.internal;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.Arrays;

/**
 * Memory for the arguments of one system call, kept per thread so that a call allocates nothing. What
 * {@link #begin()} hands out is valid until the same thread begins again, so only the method that makes the call may
 * hold it. What a kernel that calls back does within the call begins above it.
 *
 * <p>What is kept for a thread are objects of the JDK alone, so that a thread of somebody else's keeps nothing of this
 * library alive.
 *
 * <p><b>Thread-safety:</b> each thread has its own.
 */
public final class Scratch implements SegmentAllocator {
    private static final long SIZE = 4096;
    private static final Scratch INSTANCE = new Scratch();

    private static final int MEMORY = 0;
    private static final int MARKS = 1;
    private static final ThreadLocal<Object[]> OF_THREAD = ThreadLocal
            .withInitial(() -> new Object[]{Arena.ofAuto().allocate(SIZE, Long.BYTES), new long[16]});

    /** Of the marks: how much is used, how many calls this thread is within, and from there where each of them began. */
    private static final int USED = 0;
    private static final int DEPTH = 1;
    private static final int FIRST = 2;

    private Scratch() {
    }

    private static long[] marks(Object[] scratch) {
        return (long[]) scratch[MARKS];
    }

    /**
     * Starts a new call on this thread; what an earlier call used is free again.
     *
     * @return an allocator of zeroed memory
     */
    public static Scratch begin() {
        long[] marks = marks(OF_THREAD.get());
        marks[USED] = marks[DEPTH] == 0 ? 0 : marks[FIRST + (int) marks[DEPTH] - 1];
        return INSTANCE;
    }

    /** A call begins in which the same thread may make others: what is in use stays as it is. */
    static void enter() {
        Object[] scratch = OF_THREAD.get();
        long[] marks = marks(scratch);
        int depth = (int) marks[DEPTH];
        if (FIRST + depth == marks.length) {
            marks = Arrays.copyOf(marks, 2 * depth + FIRST);
            scratch[MARKS] = marks;
        }
        marks[FIRST + depth] = marks[USED];
        marks[DEPTH] = depth + 1;
    }

    /** The call has returned. */
    static void leave() {
        long[] marks = marks(OF_THREAD.get());
        int depth = (int) --marks[DEPTH];
        marks[USED] = marks[FIRST + depth];
    }

    @Override
    public MemorySegment allocate(long byteSize, long byteAlignment) {
        Object[] scratch = OF_THREAD.get();
        long[] marks = marks(scratch);
        long start = marks[USED] + byteAlignment - 1 & -byteAlignment;
        if (byteAlignment > Long.BYTES || byteSize > SIZE - start) {
            return Arena.ofAuto().allocate(byteSize, byteAlignment);
        }
        marks[USED] = start + byteSize;
        return ((MemorySegment) scratch[MEMORY]).asSlice(start, byteSize).fill((byte) 0);
    }
}
