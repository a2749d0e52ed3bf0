package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_info_cap_header;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * One of the capabilities that VFIO appends to an answer.
 *
 * @param id which, by a {@code VFIO_..._CAP_} number
 * @param version of its layout
 * @param body its bytes, header included, and all that follows them in the answer
 */
record Capability(int id, int version, MemorySegment body) {
    /** Follows a chain of offsets without trusting it: it must stay inside the answer and go forward. */
    static List<Capability> chain(MemorySegment answer, int firstOffset) {
        List<Capability> capabilities = new ArrayList<>();
        long offset = Integer.toUnsignedLong(firstOffset);
        while (offset != 0 && offset <= answer.byteSize() - vfio_info_cap_header.sizeof()) {
            MemorySegment body = aligned(answer.asSlice(offset));
            capabilities.add(new Capability(Short.toUnsignedInt(vfio_info_cap_header.id(body)),
                    Short.toUnsignedInt(vfio_info_cap_header.version(body)), body));
            long next = Integer.toUnsignedLong(vfio_info_cap_header.next(body));
            if (next != 0 && next <= offset) {
                throw new IllegalStateException(
                        "the kernel's capability chain goes back from " + offset + " to " + next);
            }
            offset = next;
        }
        return capabilities;
    }

    /** Kernels before 6.6 put capabilities at multiples of four, where the generated accessors want eight. */
    private static MemorySegment aligned(MemorySegment body) {
        return Arena.ofAuto().allocate(body.byteSize(), Long.BYTES).copyFrom(body);
    }
}
