package dev.kvmvfio.mock;

import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.UnionLayout;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** Writes a struct as people read it, field by field; what a call changed is shown as before and after. */
final class StructText {
    private StructText() {
    }

    /** Describes a struct; both copies are of its beginning, and {@code after} is null when the call failed. */
    static String describe(GroupLayout layout, MemorySegment before, MemorySegment after) {
        List<String> fields = new ArrayList<>();
        addFields("", layout, 0, before, after, fields);
        return String.join(", ", fields);
    }

    private static void addFields(String prefix, GroupLayout layout, long start, MemorySegment before,
            MemorySegment after, List<String> fields) {
        long offset = start;
        for (MemoryLayout member : layout.memberLayouts()) {
            String name = prefix + member.name().orElse("");
            if (member instanceof ValueLayout value && member.name().isPresent()
                    && offset + value.byteSize() <= before.byteSize()) {
                fields.add(name + "=" + field(value, offset, before, after));
            } else if (member instanceof GroupLayout group && member.name().isPresent()) {
                addFields(name + ".", group, offset, before, after, fields);
            }
            offset += layout instanceof UnionLayout ? 0 : member.byteSize();
        }
    }

    private static String field(ValueLayout layout, long offset, MemorySegment before, MemorySegment after) {
        String old = text(layout, offset, before);
        String now = after == null ? old : text(layout, offset, after);
        return old.equals(now) ? old : old + "→" + now;
    }

    private static String text(ValueLayout layout, long offset, MemorySegment segment) {
        long value = switch (layout) {
            case ValueLayout.OfByte _ -> segment.get(ValueLayout.JAVA_BYTE, offset);
            case ValueLayout.OfShort _ -> segment.get(ValueLayout.JAVA_SHORT_UNALIGNED, offset);
            case ValueLayout.OfInt _ -> segment.get(ValueLayout.JAVA_INT_UNALIGNED, offset);
            default -> segment.get(ValueLayout.JAVA_LONG_UNALIGNED, offset);
        };
        return value >= -1 && value < 10 ? Long.toString(value) : "0x" + hex(value, layout.byteSize());
    }

    private static String hex(long value, long bytes) {
        return Long.toHexString(bytes == Long.BYTES ? value : value & (1L << 8 * bytes) - 1);
    }
}
