package dev.kvmvfio.mock.internal.pci;

import java.util.ArrayList;
import java.util.List;

/**
 * The machine's IOMMU.
 *
 * @param present whether there is one
 * @param lastIova the highest address that a device can use
 * @param reserved what no program may map, besides what is above {@code lastIova}
 * @param isolatesInterrupts whether a device's write cannot raise another one's interrupt
 * @param unsafeInterrupts whether the administrator allowed devices where that is not so
 */
public record Iommu(boolean present, long lastIova, List<Range> reserved, boolean isolatesInterrupts,
        boolean unsafeInterrupts) {
    /** What x86-64 uses for interrupts; it is never memory. */
    public static final Range INTERRUPT_WINDOW = new Range(0xfee0_0000L, 0xfeef_ffffL);
    public static final long SMALLEST_PAGE = 4096;
    /** 4 KiB, 2 MiB and 1 GiB, as Intel's and AMD's have. */
    public static final long PAGE_SIZES = 0x4020_1000L;

    /** Addresses from {@code start} to {@code last}, both of them included, unsigned. */
    public record Range(long start, long last) {
        public boolean overlaps(long otherStart, long otherLast) {
            return Long.compareUnsigned(start, otherLast) <= 0 && Long.compareUnsigned(otherStart, last) <= 0;
        }

        public boolean contains(long otherStart, long otherLast) {
            return Long.compareUnsigned(start, otherStart) <= 0 && Long.compareUnsigned(otherLast, last) <= 0;
        }
    }

    /** Whether VFIO and iommufd take a device here. */
    public boolean isSafe() {
        return isolatesInterrupts || unsafeInterrupts;
    }

    /** What is left of a space from {@code start} to {@code last} without some ranges, in ascending order. */
    public static List<Range> without(long start, long last, List<Range> holes) {
        List<Range> left = new ArrayList<>(List.of(new Range(start, last)));
        for (Range hole : holes) {
            left = left.stream().flatMap(range -> cut(range, hole).stream()).toList();
        }
        return left.stream().sorted((one, other) -> Long.compareUnsigned(one.start, other.start)).toList();
    }

    private static List<Range> cut(Range range, Range hole) {
        if (!range.overlaps(hole.start, hole.last)) {
            return List.of(range);
        }
        List<Range> left = new ArrayList<>();
        if (Long.compareUnsigned(range.start, hole.start) < 0) {
            left.add(new Range(range.start, hole.start - 1));
        }
        if (Long.compareUnsigned(hole.last, range.last) < 0) {
            left.add(new Range(hole.last + 1, range.last));
        }
        return left;
    }
}
