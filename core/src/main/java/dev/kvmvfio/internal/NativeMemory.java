package dev.kvmvfio.internal;

import java.lang.foreign.MemorySegment;

/**
 * What memory must be before its address is given to the kernel, which looks at neither.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class NativeMemory {
    private NativeMemory() {
    }

    /**
     * Refuses memory that has no address.
     *
     * @param memory what the kernel reads
     * @param call by which call
     * @param file on which file
     * @throws IllegalArgumentException when it is on Java's heap
     */
    public static void require(MemorySegment memory, String call, Object file) {
        if (!memory.isNative()) {
            throw new IllegalArgumentException(call + " on " + file
                    + " needs native memory, and this segment is on Java's heap: allocate it in an Arena");
        }
    }

    /**
     * Refuses memory that the kernel must not write, or cannot.
     *
     * @param memory what the kernel writes
     * @param call by which call
     * @param file on which file
     * @throws IllegalArgumentException when it is read-only or on Java's heap
     */
    public static void requireWritable(MemorySegment memory, String call, Object file) {
        require(memory, call, file);
        if (memory.isReadOnly()) {
            throw new IllegalArgumentException(call + " on " + file
                    + " writes to its memory, and this segment is read-only");
        }
    }
}
