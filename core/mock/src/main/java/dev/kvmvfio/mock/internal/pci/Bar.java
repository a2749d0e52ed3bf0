package dev.kvmvfio.mock.internal.pci;

import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.model.BarRegisters;
import dev.kvmvfio.mock.model.PciEndpoint;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** A base address register's range: memory that can be mapped, or registers that do something. */
public final class Bar {
    private static final ValueLayout.OfShort LE_SHORT = ValueLayout.JAVA_SHORT_UNALIGNED
            .withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt LE_INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LE_LONG = ValueLayout.JAVA_LONG_UNALIGNED
            .withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Spec spec;
    private final PhysicalMemory memory;
    private final Arena arena = Arena.ofAuto();
    private PhysicalMemory.Block block;
    private MemorySegment content;

    Bar(Spec spec, PhysicalMemory memory) {
        this.spec = spec;
        this.memory = memory;
    }

    /** How a BAR was described; {@code registers} is null for plain memory. */
    public record Spec(int index, long size, boolean io, boolean wide, BarRegisters registers) {
    }

    public Spec spec() {
        return spec;
    }

    public long size() {
        return spec.size;
    }

    public boolean isMappable() {
        return !spec.io && spec.registers == null;
    }

    /** The pages, which are made when they are first needed. */
    public PhysicalMemory.Block block() {
        if (block == null) {
            block = memory.allocate(spec.size);
        }
        return block;
    }

    MemorySegment content() {
        if (content == null) {
            content = block().map(0, PhysicalMemory.wholePages(spec.size), true, arena);
        }
        return content.asSlice(0, spec.size);
    }

    public void read(PciEndpoint device, long offset, int size, MemorySegment into, long at) {
        if (spec.registers == null) {
            MemorySegment.copy(content(), offset, into, at, size);
        } else {
            put(into, at, size, spec.registers.read(device, offset, size));
        }
    }

    public void write(PciEndpoint device, long offset, int size, MemorySegment from, long at) {
        if (spec.registers == null) {
            MemorySegment.copy(from, at, content(), offset, size);
        } else {
            spec.registers.write(device, offset, size, get(from, at, size));
        }
    }

    void reset() {
        if (spec.registers != null) {
            spec.registers.reset();
        }
    }

    private static long get(MemorySegment segment, long at, int size) {
        return switch (size) {
            case 1 -> Byte.toUnsignedLong(segment.get(ValueLayout.JAVA_BYTE, at));
            case 2 -> Short.toUnsignedLong(segment.get(LE_SHORT, at));
            case 4 -> Integer.toUnsignedLong(segment.get(LE_INT, at));
            default -> segment.get(LE_LONG, at);
        };
    }

    private static void put(MemorySegment segment, long at, int size, long value) {
        switch (size) {
            case 1 -> segment.set(ValueLayout.JAVA_BYTE, at, (byte) value);
            case 2 -> segment.set(LE_SHORT, at, (short) value);
            case 4 -> segment.set(LE_INT, at, (int) value);
            default -> segment.set(LE_LONG, at, value);
        }
    }
}
