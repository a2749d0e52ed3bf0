package dev.kvmvfio.vfio;

import dev.kvmvfio.internal.Answer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import java.util.function.Predicate;

/** An answer that begins with argsz, by which the kernel says how much room it needs for what it appends. */
final class GrowingInfo {
    /** Much more than any driver appends. */
    private static final int LARGEST = 1 << 16;
    private static final int TRIES = 8;
    private static final long ARGSZ = 0;

    private GrowingInfo() {
    }

    /**
     * Asks until there is room for all.
     *
     * @param arena where to put it
     * @param size of the struct without what is appended
     * @param answer names the call
     * @param call makes it, and says whether there is such a thing
     * @return the struct and what is appended; empty when there is no such thing
     */
    static Optional<MemorySegment> ask(Arena arena, long size, Answer answer, Predicate<MemorySegment> call) {
        long room = size;
        for (int i = 0; i < TRIES; i++) {
            MemorySegment info = arena.allocate(room, Long.BYTES);
            info.set(ValueLayout.JAVA_INT, ARGSZ, (int) room);
            if (!call.test(info)) {
                return Optional.empty();
            }
            int wanted = answer.count("bytes as its size", info.get(ValueLayout.JAVA_INT, ARGSZ), LARGEST);
            if (wanted <= room) {
                return Optional.of(info);
            }
            room = wanted;
        }
        throw answer.isOdd(room + " bytes as its size, and got all that it wanted " + TRIES + " times before");
    }
}
