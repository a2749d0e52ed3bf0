package dev.kvmvfio.mock.internal.iommufd;

import static dev.kvmvfio.kernel.Errno.EADDRINUSE;
import static dev.kvmvfio.kernel.Errno.EEXIST;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOENT;
import static dev.kvmvfio.kernel.Errno.ENOSPC;
import static dev.kvmvfio.kernel.Errno.EOVERFLOW;
import static dev.kvmvfio.kernel.Errno.EPERM;

import dev.kvmvfio.mock.internal.pci.Iommu;
import dev.kvmvfio.mock.internal.pci.IovaMap;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Pages;
import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** An I/O address space: what it maps, what devices forbid in it, and the page tables that are filled from it. */
public final class IommufdIoas extends IommufdObject implements Machine.Holder {
    private static final long LAST = -1L;
    private static final long HUGE_PAGE = 2 << 20;

    private final IovaMap map;
    private final Map<Object, List<Iommu.Range>> reserved = new LinkedHashMap<>();
    private final List<IommufdHwpt> tables = new ArrayList<>();
    private List<Iommu.Range> allowed = List.of();
    private boolean smallPages;
    private long alignment = 1;

    IommufdIoas(IommufdFile file) {
        super(file);
        map = new IovaMap(file.machine());
        file.machine().add(this);
    }

    /** A piece of memory to be mapped. */
    record Piece(Pages pages, long offset, long length) {
    }

    IovaMap map() {
        return map;
    }

    long alignment() {
        return alignment;
    }

    boolean usesLargePages() {
        return !smallPages;
    }

    boolean hasTables() {
        return !tables.isEmpty();
    }

    List<IommufdHwpt> automaticTables() {
        return tables.stream().filter(IommufdHwpt::isAutomatic).toList();
    }

    private List<Iommu.Range> allReserved() {
        return reserved.values().stream().flatMap(List::stream).toList();
    }

    /** Where a program may map, in ascending order. */
    List<Iommu.Range> usable() {
        return Iommu.without(0, LAST, allReserved());
    }

    void reserveFor(IommufdPciDevice device) {
        reserve(device, file().iommu().reserved());
    }

    void unreserveFor(IommufdPciDevice device) {
        reserved.remove(device);
    }

    private void reserve(Object owner, List<Iommu.Range> ranges) {
        for (Iommu.Range range : ranges) {
            boolean allowedThere = allowed.stream().anyMatch(other -> other.overlaps(range.start(), range.last()));
            Refusal.when(allowedThere || !map.isFree(range.start(), range.last()), EADDRINUSE);
        }
        reserved.put(owner, ranges);
    }

    /** Fills a page table with everything that is mapped, which pins it. */
    void addTable(IommufdHwpt table) {
        checkAlignment(Iommu.SMALLEST_PAGE);
        reserve(table, List.of(new Iommu.Range(file().iommu().lastIova() + 1, LAST)));
        try {
            pin(List.copyOf(map.areas()));
        } catch (Refusal refused) {
            reserved.remove(table);
            throw refused;
        }
        tables.add(table);
        alignment = Iommu.SMALLEST_PAGE;
    }

    private void checkAlignment(long needed) {
        boolean misaligned = map.areas().stream().anyMatch(area -> ((area.start() | area.length()
                | area.pages().address() + area.offset()) & needed - 1) != 0);
        Refusal.when(misaligned, EADDRINUSE);
    }

    void removeTable(IommufdHwpt table) {
        tables.remove(table);
        reserved.remove(table);
        map.areas().forEach(area -> area.pages().unpin());
        findAlignment();
    }

    private void findAlignment() {
        alignment = smallPages || !tables.isEmpty() ? Iommu.SMALLEST_PAGE : 1;
    }

    void setLargePages(boolean large) {
        if (large == !smallPages) {
            return;
        }
        if (!large) {
            Refusal.when(!tables.isEmpty() && !map.areas().isEmpty(), EINVAL);
            checkAlignment(Iommu.SMALLEST_PAGE);
        }
        smallPages = !large;
        findAlignment();
    }

    private static void pin(List<IovaMap.Area> areas) {
        int done = 0;
        try {
            for (; done < areas.size(); done++) {
                IovaMap.Area area = areas.get(done);
                area.pages().pin();
                if (!area.readable() && !area.writable()) {
                    // An IOMMU has no entries that allow nothing.
                    area.pages().unpin();
                    throw Refusal.of(EINVAL);
                }
            }
        } catch (Refusal refused) {
            areas.subList(0, done).forEach(area -> area.pages().unpin());
            throw refused;
        }
    }

    /** Maps memory at a place that the caller chose. */
    void mapAt(long iova, List<Piece> pieces, long length, boolean readable, boolean writable) {
        checkLength(length);
        Refusal.when((iova & alignment - 1) != 0, EINVAL);
        Refusal.when(Long.compareUnsigned(iova + length - 1, iova) < 0, EOVERFLOW);
        Refusal.when(allReserved().stream().anyMatch(range -> range.overlaps(iova, iova + length - 1)), EINVAL);
        Refusal.when(!map.isFree(iova, iova + length - 1), EEXIST);
        insert(iova, pieces, readable, writable);
    }

    /** Maps memory where there is room; answers where. */
    long mapAnywhere(List<Piece> pieces, long length, boolean readable, boolean writable) {
        checkLength(length);
        Piece first = pieces.getFirst();
        long iova = findRoom(first.pages().address() + first.offset(), length);
        insert(iova, pieces, readable, writable);
        return iova;
    }

    private void checkLength(long length) {
        Refusal.when(length == 0 || (length & alignment - 1) != 0, EINVAL);
    }

    private void insert(long iova, List<Piece> pieces, boolean readable, boolean writable) {
        List<IovaMap.Area> areas = new ArrayList<>();
        long start = iova;
        for (Piece piece : pieces) {
            Refusal.when(writable && !piece.pages().forWriting(), EPERM);
            Refusal.when((piece.pages().address() + piece.offset() & alignment - 1) != 0, EINVAL);
            areas.add(new IovaMap.Area(start, piece.length(), piece.pages(), piece.offset(), readable, writable));
            start += piece.length();
        }
        for (int table = 0; table < tables.size(); table++) {
            pin(areas);
        }
        areas.forEach(map::add);
    }

    /** The lowest free place, aligned as the memory is so that large pages fit. Address 0 is never chosen. */
    private long findRoom(long address, long length) {
        Refusal.when(Long.compareUnsigned(length, Long.MAX_VALUE) >= 0, EOVERFLOW);
        long roundedUp = length == 1 ? 1 : Long.highestOneBit(length - 1) << 1;
        long wanted = address == 0 ? roundedUp : Math.min(roundedUp, Long.lowestOneBit(address));
        long step = Math.min(wanted, HUGE_PAGE);
        Refusal.when(step < alignment, EINVAL);
        long pageOffset = address & PhysicalMemory.PAGE - 1;
        List<Iommu.Range> used = new ArrayList<>(allReserved());
        map.areas().forEach(area -> used.add(new Iommu.Range(area.start(), area.last())));
        used.add(new Iommu.Range(0, PhysicalMemory.PAGE - 1));
        used.add(new Iommu.Range(LAST - PhysicalMemory.PAGE + 1, LAST));
        List<Iommu.Range> places = allowed.isEmpty() ? List.of(new Iommu.Range(0, LAST)) : allowed;
        for (Iommu.Range place : places) {
            for (Iommu.Range hole : Iommu.without(place.start(), place.last(), used)) {
                long start = hole.start() + step - 1 & -step | pageOffset;
                if (Long.compareUnsigned(start, hole.start()) >= 0 && Long.compareUnsigned(start, hole.last()) < 0
                        && Long.compareUnsigned(hole.last() - start, length - 1) >= 0) {
                    return start;
                }
            }
        }
        throw Refusal.of(ENOSPC);
    }

    /** Says where {@link #mapAnywhere} may map. */
    void allow(List<Iommu.Range> ranges) {
        boolean clash = ranges.stream().anyMatch(
                range -> allReserved().stream().anyMatch(other -> other.overlaps(range.start(), range.last())));
        Refusal.when(clash, EADDRINUSE);
        allowed = ranges.stream().sorted((one, other) -> Long.compareUnsigned(one.start(), other.start())).toList();
    }

    /** Unmaps all areas within a range and answers their size; an area that is within by a part only is in the way. */
    long unmap(long start, long last) {
        long unmapped = 0;
        for (IovaMap.Area area : map.overlapping(start, last)) {
            boolean cut = Long.compareUnsigned(area.start(), start) < 0 || Long.compareUnsigned(area.last(), last) > 0;
            Refusal.when(cut, ENOENT);
            remove(area);
            unmapped += area.length();
        }
        return unmapped;
    }

    private void remove(IovaMap.Area area) {
        map.remove(area);
        for (int table = 0; table < tables.size(); table++) {
            area.pages().unpin();
        }
    }

    long unmapAll() {
        return unmap(0, LAST);
    }

    long mappedBytes() {
        return map.areas().stream().mapToLong(IovaMap.Area::length).sum();
    }

    /** Splits the area that holds an address, so that this address is a part's last. */
    void cut(long last) {
        IovaMap.Area area = map.at(last);
        if (area == null || last == area.start() || last == area.last()) {
            return;
        }
        long length = last + 1 - area.start();
        boolean aligned = ((last + 1 | area.pages().address() + area.offset() + length) & alignment - 1) == 0;
        Refusal.when(!aligned || !tables.isEmpty() && !smallPages, EINVAL);
        map.remove(area);
        map.add(new IovaMap.Area(area.start(), length, area.pages(), area.offset(), area.readable(),
                area.writable()));
        IovaMap.Area rest = new IovaMap.Area(last + 1, area.length() - length, area.pages(), area.offset() + length,
                area.readable(), area.writable());
        map.add(rest);
        tables.forEach(_ -> rest.pages().pin());
    }

    /** The memory behind a range that is mapped without gaps. */
    List<Piece> pieces(long start, long length) {
        Refusal.when(length == 0, EINVAL);
        long last = start + length - 1;
        Refusal.when(Long.compareUnsigned(last, start) < 0, EOVERFLOW);
        List<Piece> pieces = new ArrayList<>();
        long next = start;
        while (true) {
            IovaMap.Area area = map.at(next);
            Refusal.when(area == null, ENOENT);
            long skipped = next - area.start();
            long end = Long.compareUnsigned(area.last(), last) < 0 ? area.last() : last;
            pieces.add(new Piece(area.pages(), area.offset() + skipped, end - next + 1));
            if (end == last) {
                return pieces;
            }
            next = end + 1;
        }
    }

    @Override
    void destroy() {
        unmapAll();
        file().machine().remove(this);
    }

    @Override
    public List<String> held() {
        return map.describe("IOAS " + id());
    }
}
