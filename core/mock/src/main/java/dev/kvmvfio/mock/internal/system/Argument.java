package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.E2BIG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The third argument of an ioctl: a number, or the address of a struct. The segment that came with it may be longer or
 * shorter than the struct, because to a kernel it is an address only.
 */
public record Argument(UserMemory memory, MemorySegment segment) {
    private static final MemorySegment.Scope FOR_EVER = Arena.global().scope();

    public static MemorySegment allocate(long bytes) {
        return MemorySegment.ofArray(new long[Math.toIntExact((bytes + 7) / 8)]).asSlice(0, bytes);
    }

    /** The argument as a number. */
    public long number() {
        return segment.address();
    }

    /** {@code copy_from_user}. */
    public MemorySegment read(long offset, long bytes) {
        if (!isKnown(offset + bytes)) {
            return memory.read(segment.address() + offset, bytes);
        }
        MemorySegment copy = allocate(bytes);
        MemorySegment.copy(segment, offset, copy, 0, bytes);
        return copy;
    }

    /** Java watches over memory that belongs to an arena; a segment without one may be any number. */
    private boolean isKnown(long bytes) {
        return segment.byteSize() >= bytes && !segment.scope().equals(FOR_EVER);
    }

    public int readInt(long offset) {
        return read(offset, Integer.BYTES).get(ValueLayout.JAVA_INT, 0);
    }

    /**
     * {@code copy_struct_from_user}: a struct that may be shorter than the kernel knows it, and then ends in zeroes, or
     * longer, and then must say nothing there.
     */
    public MemorySegment readStruct(long userSize, long knownSize) {
        if (userSize > knownSize) {
            MemorySegment tail = read(knownSize, userSize - knownSize);
            Refusal.when(tail.mismatch(allocate(tail.byteSize())) >= 0, E2BIG);
        }
        return allocate(knownSize).copyFrom(read(0, Math.min(userSize, knownSize)));
    }

    /** {@code copy_to_user}. */
    public void write(long offset, MemorySegment from) {
        if (!isKnown(offset + from.byteSize()) || segment.isReadOnly()) {
            memory.write(segment.address() + offset, from);
        } else {
            MemorySegment.copy(from, 0, segment, offset, from.byteSize());
        }
    }

    public void writeInt(long offset, int value) {
        MemorySegment bytes = allocate(Integer.BYTES);
        bytes.set(ValueLayout.JAVA_INT, 0, value);
        write(offset, bytes);
    }
}
