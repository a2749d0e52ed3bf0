package dev.kvmvfio.mock.internal.pci;

import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Pages;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What a device's addresses mean: areas of I/O virtual addresses, each a piece of somebody's memory. */
public final class IovaMap {
    private final TreeMap<Long, Area> areas = new TreeMap<>(Long::compareUnsigned);
    private final boolean allowsAllReads;

    /** Makes an empty map. Intel's IOMMU driver lets a device read whatever is mapped, until Linux 7. */
    public IovaMap(Machine machine) {
        allowsAllReads = !machine.isAtLeast(KernelProfile.V7_2);
    }

    /** An area, which ends before {@code start + length}; its memory begins at {@code offset} of the pages. */
    public record Area(long start, long length, Pages pages, long offset, boolean readable, boolean writable) {
        public long last() {
            return start + length - 1;
        }
    }

    public void add(Area area) {
        areas.put(area.start, area);
    }

    public void remove(Area area) {
        areas.remove(area.start);
    }

    public Collection<Area> areas() {
        return areas.values();
    }

    /** The area that holds an address, or null. */
    public Area at(long iova) {
        Map.Entry<Long, Area> below = areas.floorEntry(iova);
        return below != null && Long.compareUnsigned(iova, below.getValue().last()) <= 0 ? below.getValue() : null;
    }

    /** The areas that have an address in common with a range, in ascending order. */
    public List<Area> overlapping(long start, long last) {
        List<Area> found = new ArrayList<>();
        Area first = at(start);
        if (first != null) {
            found.add(first);
        }
        areas.subMap(start, false, last, true).values().forEach(found::add);
        return found;
    }

    public boolean isFree(long start, long last) {
        return overlapping(start, last).isEmpty();
    }

    /** A device reads. The answer is null when everything went through, and the reason when not. */
    String read(long iova, MemorySegment into) {
        return transfer(iova, into.byteSize(), false, (area, offset, at, bytes) -> MemorySegment
                .copy(area.pages.read(offset, bytes), 0, into, at, bytes));
    }

    /** A device writes. */
    String write(long iova, MemorySegment from) {
        return transfer(iova, from.byteSize(), true,
                (area, offset, at, bytes) -> area.pages.write(offset, from.asSlice(at, bytes)));
    }

    private interface Copy {
        void copy(Area area, long offset, long at, long bytes);
    }

    private String transfer(long iova, long bytes, boolean write, Copy copy) {
        for (long done = 0; done < bytes;) {
            Area area = at(iova + done);
            if (area == null) {
                return String.format("0x%x is not mapped", iova + done);
            }
            if (write ? !area.writable : !area.readable && !allowsAllReads) {
                return String.format("0x%x is mapped without the right to %s", iova + done, write ? "write" : "read");
            }
            long inArea = iova + done - area.start;
            long part = Math.min(bytes - done, area.length - inArea);
            try {
                copy.copy(area, area.offset + inArea, done, part);
            } catch (Refusal gone) {
                return String.format("the memory behind 0x%x is gone", iova + done);
            }
            done += part;
        }
        return null;
    }

    /** The mappings in words, for what is left behind. */
    public List<String> describe(String where) {
        return areas.values().stream()
                .map(area -> String.format("IOVA 0x%x..0x%x is mapped in %s", area.start, area.last(), where)).toList();
    }
}
