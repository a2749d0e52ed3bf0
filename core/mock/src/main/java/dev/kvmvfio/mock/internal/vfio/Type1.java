package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EACCES;
import static dev.kvmvfio.kernel.Errno.EEXIST;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOENT;
import static dev.kvmvfio.kernel.Errno.ENOSPC;
import static dev.kvmvfio.kernel.Errno.EOVERFLOW;
import static dev.kvmvfio.kernel.Errno.EPERM;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dirty_bitmap;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_map;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_unmap;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info_cap_migration;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info_dma_avail;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.internal.iommufd.VfioCompat;
import dev.kvmvfio.mock.internal.pci.Iommu;
import dev.kvmvfio.mock.internal.pci.IovaMap;
import dev.kvmvfio.mock.internal.pci.IsolationGroup;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.CapabilityChain;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Pages;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** The container's IOMMU driver in its two versions, which differ in how they unmap a part of a mapping. */
final class Type1 implements Machine.Holder {
    private static final int MOST_MAPPINGS = 65535;
    private static final long LARGEST_DIRTY_BITMAP = 0x1000_0000L;
    private static final long PAGE_MASK = Iommu.SMALLEST_PAGE - 1;
    private static final int GET_DIRTY_BITMAP = vfio_h.VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP();

    private final Machine machine;
    private final Iommu iommu;
    private final boolean version2;
    private final IovaMap map;
    private final List<Iommu.Range> ranges;
    private boolean tracksDirtyPages;

    Type1(Machine machine, Iommu iommu, boolean version2) {
        this.machine = machine;
        this.iommu = iommu;
        this.version2 = version2;
        this.map = new IovaMap(machine);
        this.ranges = Iommu.without(0, iommu.lastIova(), iommu.reserved());
        machine.add(this);
    }

    void attach(IsolationGroup group) {
        Refusal.when(!iommu.isSafe(), EPERM);
        group.translate(map);
    }

    void detach(IsolationGroup group) {
        group.translate(null);
    }

    void release() {
        machine.remove(this);
        List.copyOf(map.areas()).forEach(this::remove);
    }

    private void remove(IovaMap.Area area) {
        map.remove(area);
        area.pages().unpin();
    }

    /** Newer kernels say with an errno of its own that a range goes beyond the last address. */
    private Errno wrapped() {
        return machine.isAtLeast(KernelProfile.V7_2) ? EOVERFLOW : EINVAL;
    }

    private static boolean wraps(long start, long size) {
        return Long.compareUnsigned(start + size - 1, start) < 0;
    }

    long getInfo(Argument argument) {
        long needed = vfio_iommu_type1_info.cap_offset$offset();
        int argsz = vfio_iommu_type1_info.argsz(argument.read(0, needed));
        Refusal.when(Integer.compareUnsigned(argsz, (int) needed) < 0, EINVAL);
        MemorySegment info = Argument.allocate(vfio_iommu_type1_info.sizeof());
        vfio_iommu_type1_info.argsz(info, argsz);
        vfio_iommu_type1_info.flags(info, vfio_h.VFIO_IOMMU_INFO_PGSIZES() | vfio_h.VFIO_IOMMU_INFO_CAPS());
        vfio_iommu_type1_info.iova_pgsizes(info, Iommu.PAGE_SIZES);
        CapabilityChain chain = capabilities();
        if (Integer.compareUnsigned(argsz, chain.end()) < 0) {
            vfio_iommu_type1_info.argsz(info, chain.end());
        } else {
            chain.write(argument, chain.end());
            vfio_iommu_type1_info.cap_offset(info, (int) info.byteSize());
        }
        argument.write(0, info.asSlice(0, Math.min(Integer.toUnsignedLong(argsz), info.byteSize())));
        return 0;
    }

    private CapabilityChain capabilities() {
        CapabilityChain chain = new CapabilityChain((int) vfio_iommu_type1_info.sizeof(), machine);
        MemorySegment migration = Argument.allocate(vfio_iommu_type1_info_cap_migration.sizeof());
        vfio_iommu_type1_info_cap_migration.pgsize_bitmap(migration, Iommu.SMALLEST_PAGE);
        vfio_iommu_type1_info_cap_migration.max_dirty_bitmap_size(migration, LARGEST_DIRTY_BITMAP);
        chain.add(vfio_h.VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION(), migration);
        MemorySegment available = Argument.allocate(vfio_iommu_type1_info_dma_avail.sizeof());
        vfio_iommu_type1_info_dma_avail.avail(available, MOST_MAPPINGS - map.areas().size());
        chain.add(vfio_h.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL(), available);
        chain.add(vfio_h.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE(), VfioCompat.ranges(ranges));
        return chain;
    }

    long map(Argument argument) {
        MemorySegment request = argument.read(0, vfio_iommu_type1_dma_map.sizeof());
        int argsz = vfio_iommu_type1_dma_map.argsz(request);
        int flags = vfio_iommu_type1_dma_map.flags(request);
        int access = flags & (vfio_h.VFIO_DMA_MAP_FLAG_READ() | vfio_h.VFIO_DMA_MAP_FLAG_WRITE());
        boolean newAddress = (flags & vfio_h.VFIO_DMA_MAP_FLAG_VADDR()) != 0;
        Refusal.when(Integer.compareUnsigned(argsz, (int) request.byteSize()) < 0
                || (flags & ~access & ~vfio_h.VFIO_DMA_MAP_FLAG_VADDR()) != 0, EINVAL);
        long iova = vfio_iommu_type1_dma_map.iova(request);
        long address = vfio_iommu_type1_dma_map.vaddr(request);
        long size = vfio_iommu_type1_dma_map.size(request);
        Refusal.when(size == 0, EINVAL);
        boolean wraps = wraps(iova, size) || wraps(address, size);
        Refusal.when(wraps && wrapped() == EOVERFLOW, EOVERFLOW);
        Refusal.when(newAddress == (access != 0), EINVAL);
        Refusal.when(((size | iova | address) & PAGE_MASK) != 0 || wraps, EINVAL);
        if (newAddress) {
            Refusal.when(map.isFree(iova, iova + size - 1), ENOENT);
            // Only a mapping whose old address was given up takes a new one.
            throw Refusal.of(EINVAL);
        }
        add(iova, address, size, access);
        return 0;
    }

    private void add(long iova, long address, long size, int access) {
        Refusal.when(!map.isFree(iova, iova + size - 1), EEXIST);
        Refusal.when(map.areas().size() >= MOST_MAPPINGS, ENOSPC);
        Refusal.when(ranges.stream().noneMatch(range -> range.contains(iova, iova + size - 1)), EINVAL);
        boolean readable = (access & vfio_h.VFIO_DMA_MAP_FLAG_READ()) != 0;
        boolean writable = (access & vfio_h.VFIO_DMA_MAP_FLAG_WRITE()) != 0;
        Pages pages = new Pages(machine, address, size, writable, true, Pages.Accounting.PROCESS);
        pages.pin();
        map.add(new IovaMap.Area(iova, size, pages, 0, readable, writable));
    }

    long unmap(Argument argument) {
        MemorySegment request = argument.read(0, vfio_iommu_type1_dma_unmap.data$offset());
        int argsz = vfio_iommu_type1_dma_unmap.argsz(request);
        int flags = vfio_iommu_type1_dma_unmap.flags(request);
        int all = vfio_h.VFIO_DMA_UNMAP_FLAG_ALL();
        int oldAddress = vfio_h.VFIO_DMA_UNMAP_FLAG_VADDR();
        Refusal.when(Integer.compareUnsigned(argsz, (int) request.byteSize()) < 0
                || (flags & ~(all | oldAddress | GET_DIRTY_BITMAP)) != 0, EINVAL);
        Refusal.when((flags & GET_DIRTY_BITMAP) != 0 && (flags & (all | oldAddress)) != 0, EINVAL);
        if ((flags & (oldAddress | GET_DIRTY_BITMAP)) != 0) {
            throw new NotModelledException("VFIO_IOMMU_UNMAP_DMA with flags 0x" + Integer.toHexString(flags));
        }
        long iova = vfio_iommu_type1_dma_unmap.iova(request);
        long size = vfio_iommu_type1_dma_unmap.size(request);
        long unmapped = (flags & all) != 0 ? removeAll(iova, size) : remove(iova, size);
        vfio_iommu_type1_dma_unmap.size(request, unmapped);
        argument.write(0, request);
        return 0;
    }

    private long removeAll(long iova, long size) {
        Refusal.when(iova != 0 || size != 0, EINVAL);
        return remove(List.copyOf(map.areas()));
    }

    private long remove(long iova, long size) {
        Refusal.when((iova & PAGE_MASK) != 0 || size == 0 || (size & PAGE_MASK) != 0, EINVAL);
        Refusal.when(wraps(iova, size), wrapped());
        List<IovaMap.Area> hit = map.overlapping(iova, iova + size - 1);
        if (!hit.isEmpty()) {
            boolean cutsFirst = hit.getFirst().start() != iova && map.at(iova) != null;
            boolean cutsLast = Long.compareUnsigned(hit.getLast().last(), iova + size - 1) > 0;
            if (version2) {
                Refusal.when(cutsFirst || cutsLast, EINVAL);
            } else if (cutsFirst) {
                // The old version stops at a mapping that begins earlier, and takes one that ends later as a whole.
                return 0;
            }
        }
        return remove(hit);
    }

    private long remove(List<IovaMap.Area> areas) {
        areas.forEach(this::remove);
        return areas.stream().mapToLong(IovaMap.Area::length).sum();
    }

    long dirtyPages(Argument argument) {
        Refusal.when(!version2, EACCES);
        long header = vfio_iommu_type1_dirty_bitmap.data$offset();
        MemorySegment request = argument.read(0, header);
        int argsz = vfio_iommu_type1_dirty_bitmap.argsz(request);
        int flags = vfio_iommu_type1_dirty_bitmap.flags(request);
        int start = vfio_h.VFIO_IOMMU_DIRTY_PAGES_FLAG_START();
        int stop = vfio_h.VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP();
        int get = vfio_h.VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP();
        Refusal.when(Integer.compareUnsigned(argsz, (int) header) < 0 || (flags & ~(start | stop | get)) != 0
                || Integer.bitCount(flags) != 1, EINVAL);
        if (flags == get) {
            Refusal.when(!tracksDirtyPages, EINVAL);
            throw new NotModelledException("VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP");
        }
        tracksDirtyPages = flags == start;
        return 0;
    }

    @Override
    public List<String> held() {
        return map.describe("a container");
    }
}
