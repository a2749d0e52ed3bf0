package dev.kvmvfio.kernel;

import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.UnionLayout;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import java.util.regex.Pattern;

/** Writes a struct as people read it, field by field; what a call changed is shown as before and after. */
final class StructText {
    private static final Pattern PADDING = Pattern.compile("_*(pad|reserved)\\d*");

    private final MemorySegment before;
    private final MemorySegment after;
    private final long end;
    private final Map<Integer, String> files = new HashMap<>();

    private StructText(GroupLayout layout, MemorySegment before, MemorySegment after) {
        this.before = before;
        this.after = after;
        this.end = Math.min(before.byteSize(), ownSize(layout, before));
    }

    /** Structs of VFIO and iommufd begin with the size that the caller means. */
    private static long ownSize(GroupLayout layout, MemorySegment struct) {
        String first = layout.memberLayouts().getFirst().name().orElse("");
        return (first.equals("argsz") || first.equals("size")) && struct.byteSize() >= Integer.BYTES
                ? Math.max(Integer.BYTES, Integer.toUnsignedLong(struct.get(ValueLayout.JAVA_INT_UNALIGNED, 0)))
                : Long.MAX_VALUE;
    }

    /**
     * Describes a struct of which both copies are the beginning. The files that it names are looked up now, because
     * their numbers may mean other files later.
     */
    static Supplier<String> describe(GroupLayout layout, MemorySegment before, MemorySegment after,
            IntFunction<String> files) {
        StructText text = new StructText(layout, before, after);
        text.findFiles(layout, files);
        return () -> text.write(layout);
    }

    private void findFiles(GroupLayout layout, IntFunction<String> find) {
        long offset = 0;
        for (MemoryLayout member : layout.memberLayouts()) {
            if (namesFile(member) && offset + Integer.BYTES <= end) {
                for (MemorySegment each : List.of(before, after)) {
                    int number = each.get(ValueLayout.JAVA_INT_UNALIGNED, offset);
                    files.put(number, find.apply(number));
                }
            }
            offset += member.byteSize();
        }
    }

    private static boolean namesFile(MemoryLayout member) {
        return member instanceof ValueLayout.OfInt && member.name().orElse("").endsWith("fd");
    }

    private String write(GroupLayout layout) {
        List<String> fields = new ArrayList<>();
        addFields("", layout, 0, fields);
        return "{" + String.join(", ", fields) + "}";
    }

    private void addFields(String prefix, GroupLayout layout, long start, List<String> fields) {
        long offset = start;
        for (MemoryLayout member : layout.memberLayouts()) {
            String name = prefix + member.name().orElse("");
            if (member instanceof ValueLayout value && member.name().isPresent()
                    && offset + value.byteSize() <= end && !isPadding(value, offset)) {
                fields.add(name + "=" + field(value, offset));
            } else if (member instanceof GroupLayout group && member.name().isPresent()) {
                addFields(name + ".", group, offset, fields);
            }
            offset += layout instanceof UnionLayout ? 0 : member.byteSize();
        }
    }

    /** What must be zero is of interest only when it is not. */
    private boolean isPadding(ValueLayout layout, long offset) {
        return PADDING.matcher(layout.name().orElse("")).matches() && value(layout, offset, before, after).equals("0");
    }

    private String field(ValueLayout layout, long offset) {
        if (!namesFile(layout)) {
            return value(layout, offset, before, after);
        }
        int old = before.get(ValueLayout.JAVA_INT_UNALIGNED, offset);
        int now = after.get(ValueLayout.JAVA_INT_UNALIGNED, offset);
        return old == now ? Objects.requireNonNull(files.get(old)) : old + " => " + files.get(now);
    }

    /** A value, or its old and its new one. */
    static String value(ValueLayout layout, long offset, MemorySegment before, MemorySegment after) {
        String old = text(layout, offset, before);
        String now = text(layout, offset, after);
        return old.equals(now) ? old : old + " => " + now;
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
