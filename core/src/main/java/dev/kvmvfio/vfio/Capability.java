package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_info_cap_header;
import dev.kvmvfio.internal.Answer;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * One of the capabilities that VFIO appends to an answer.
 *
 * @param answer which answer it was
 * @param id which, by a {@code VFIO_..._CAP_} number
 * @param version of its layout
 * @param rest its bytes, header included, and all that follows them in the answer
 */
record Capability(Answer answer, int id, int version, MemorySegment rest) {
    /** Follows a chain of offsets without trusting it: it must stay inside the answer and go forward. */
    static List<Capability> chain(Answer answer, MemorySegment info, int firstOffset) {
        List<Capability> capabilities = new ArrayList<>();
        long offset = Integer.toUnsignedLong(firstOffset);
        while (offset != 0) {
            if (offset > info.byteSize() - vfio_info_cap_header.sizeof()) {
                throw answer.isOdd("a capability at " + offset + ", outside of its " + info.byteSize() + " bytes");
            }
            MemorySegment header = aligned(info.asSlice(offset, vfio_info_cap_header.sizeof()));
            capabilities.add(new Capability(answer, Short.toUnsignedInt(vfio_info_cap_header.id(header)),
                    Short.toUnsignedInt(vfio_info_cap_header.version(header)), info.asSlice(offset)));
            long next = Integer.toUnsignedLong(vfio_info_cap_header.next(header));
            if (next != 0 && next <= offset) {
                throw answer.isOdd("a chain of capabilities that goes back from " + offset + " to " + next);
            }
            offset = next;
        }
        return capabilities;
    }

    /** Its bytes and those that follow, of which there must be so many. */
    MemorySegment body(long least) {
        if (rest.byteSize() < least) {
            throw answer.isOdd("a capability " + id + " of " + rest.byteSize() + " bytes, where it has " + least);
        }
        return aligned(rest);
    }

    /** Kernels before 6.6 put capabilities at multiples of four, where the generated accessors want eight. */
    private static MemorySegment aligned(MemorySegment bytes) {
        long[] words = new long[(int) Math.ceilDiv(bytes.byteSize(), Long.BYTES)];
        return MemorySegment.ofArray(words).asSlice(0, bytes.byteSize()).copyFrom(bytes);
    }
}
