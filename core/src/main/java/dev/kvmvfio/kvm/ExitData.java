package dev.kvmvfio.kvm;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import java.util.function.IntSupplier;
import java.util.stream.LongStream;

/** Numbers that an exit tells: as many as it says, but no more than there is room for. */
record ExitData(MemorySegment numbers, IntSupplier said) {
    int count() {
        return (int) Math.min(Integer.toUnsignedLong(said.getAsInt()), numbers.byteSize() / Long.BYTES);
    }

    long get(int index) {
        return numbers.getAtIndex(ValueLayout.JAVA_LONG, Objects.checkIndex(index, count()));
    }

    LongStream stream() {
        return LongStream.of(numbers.toArray(ValueLayout.JAVA_LONG)).limit(count());
    }
}
