package dev.kvmvfio.it.conformance;

import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.PaddingLayout;
import java.lang.foreign.SequenceLayout;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** The fields of a struct by their names; those of nested structs and unions count as the struct's own. */
final class Struct {
    private static final Set<String> SIZES = Set.of("argsz", "size");
    private static final int LONGEST_ARRAY = 8;

    private final long size;
    private final Map<String, Field> fields = new LinkedHashMap<>();

    Struct(GroupLayout layout) {
        size = layout.byteSize();
        add(layout, 0);
    }

    /** Where a field is. */
    record Field(String name, long offset, long size) {
        long get(MemorySegment struct) {
            return switch ((int) size) {
                case 1 -> Byte.toUnsignedLong(struct.get(ValueLayout.JAVA_BYTE, offset));
                case 2 -> Short.toUnsignedLong(struct.get(ValueLayout.JAVA_SHORT_UNALIGNED, offset));
                case 4 -> Integer.toUnsignedLong(struct.get(ValueLayout.JAVA_INT_UNALIGNED, offset));
                default -> struct.get(ValueLayout.JAVA_LONG_UNALIGNED, offset);
            };
        }

        void set(MemorySegment struct, long value) {
            switch ((int) size) {
                case 1 -> struct.set(ValueLayout.JAVA_BYTE, offset, (byte) value);
                case 2 -> struct.set(ValueLayout.JAVA_SHORT_UNALIGNED, offset, (short) value);
                case 4 -> struct.set(ValueLayout.JAVA_INT_UNALIGNED, offset, (int) value);
                default -> struct.set(ValueLayout.JAVA_LONG_UNALIGNED, offset, value);
            }
        }
    }

    private void add(GroupLayout group, long start) {
        long offset = start;
        for (MemoryLayout member : group.memberLayouts()) {
            add(member.name().orElse(""), member, offset);
            if (group instanceof java.lang.foreign.StructLayout) {
                offset += member.byteSize();
            }
        }
    }

    private void add(String name, MemoryLayout member, long offset) {
        switch (member) {
            case ValueLayout value -> fields.putIfAbsent(name, new Field(name, offset, value.byteSize()));
            case GroupLayout group -> add(group, offset);
            case SequenceLayout array -> addElements(name, array, offset);
            case PaddingLayout _ -> {
                // Nothing is there.
            }
        }
    }

    private void addElements(String name, SequenceLayout array, long offset) {
        for (int i = 0; i < Math.min(array.elementCount(), LONGEST_ARRAY); i++) {
            add(name + "." + i, array.elementLayout(), offset + i * array.elementLayout().byteSize());
        }
    }

    long size() {
        return size;
    }

    Field field(String name) {
        Field field = fields.get(name);
        if (field == null) {
            throw new IllegalArgumentException("no field " + name + " among " + fields.keySet());
        }
        return field;
    }

    Iterable<Field> fields() {
        return fields.values();
    }

    /** Fills in the field in which many structs tell their own size. */
    void setSize(MemorySegment struct) {
        fields.values().stream().filter(field -> field.offset == 0 && field.size == 4 && SIZES.contains(field.name))
                .forEach(field -> field.set(struct, size));
    }
}
