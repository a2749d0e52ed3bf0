package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.AnswerException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * What the kernel has answered to a call, read without trust.
 *
 * @param call such as {@code VFIO_DEVICE_GET_INFO}
 * @param file what it was made on
 */
public record Answer(String call, Object file) {
    /** A count, which the kernel tells in 32 bits without a sign. */
    public int count(String what, int count, long most) {
        long said = Integer.toUnsignedLong(count);
        if (said > most) {
            throw isOdd(said + " " + what + ", more than the " + most + " that there can be");
        }
        return count;
    }

    /** The elements of an array that the kernel has counted. */
    public <T> List<T> array(String what, int count, MemorySegment array, long elementSize,
            Function<MemorySegment, T> element) {
        int counted = count(what, count, array.byteSize() / elementSize);
        List<T> elements = new ArrayList<>(counted);
        for (long i = 0; i < counted; i++) {
            elements.add(element.apply(array.asSlice(i * elementSize, elementSize)));
        }
        return List.copyOf(elements);
    }

    /** That this cannot be. */
    public AnswerException isOdd(String answer) {
        return new AnswerException(call, file, answer);
    }
}
