package dev.kvmvfio.mock.internal.iommufd;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_map;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_unmap;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info_cap_iova_range;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info_dma_avail;
import dev.kvmvfio.bindings.vfio.vfio_iova_range;
import dev.kvmvfio.mock.internal.pci.Iommu;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.CapabilityChain;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** The container's calls as an iommufd answers them, on the one address space that it has for them. */
public final class VfioCompat {
    private static final int UNLIMITED = -1;

    private VfioCompat() {
    }

    static IoctlTable<IommufdFile> addTo(IoctlTable<IommufdFile> ioctls) {
        return ioctls
                .on("VFIO_GET_API_VERSION", vfio_h.VFIO_GET_API_VERSION(),
                        (file, argument) -> vfio_h.VFIO_API_VERSION())
                .on("VFIO_CHECK_EXTENSION", vfio_h.VFIO_CHECK_EXTENSION(), VfioCompat::checkExtension)
                .on("VFIO_SET_IOMMU", vfio_h.VFIO_SET_IOMMU(), VfioCompat::setIommu)
                .on("VFIO_IOMMU_GET_INFO", vfio_h.VFIO_IOMMU_GET_INFO(), vfio_iommu_type1_info.layout(),
                        VfioCompat::getInfo)
                .on("VFIO_IOMMU_MAP_DMA", vfio_h.VFIO_IOMMU_MAP_DMA(), vfio_iommu_type1_dma_map.layout(),
                        VfioCompat::map)
                .on("VFIO_IOMMU_UNMAP_DMA", vfio_h.VFIO_IOMMU_UNMAP_DMA(), vfio_iommu_type1_dma_unmap.layout(),
                        VfioCompat::unmap);
    }

    private static boolean isType1(long type) {
        return type == vfio_h.VFIO_TYPE1_IOMMU() || type == vfio_h.VFIO_TYPE1v2_IOMMU();
    }

    private static long checkExtension(IommufdFile file, Argument argument) {
        long extension = argument.number();
        if (extension == vfio_h.VFIO_DMA_CC_IOMMU()) {
            // As long as there is no page table, none of them lacks it.
            return file.compatIoas().hasTables() ? 0 : 1;
        }
        boolean supported = isType1(extension) || extension == vfio_h.VFIO_UNMAP_ALL()
                || extension == vfio_h.VFIO_NOIOMMU_IOMMU();
        return supported ? 1 : 0;
    }

    private static long setIommu(IommufdFile file, Argument argument) {
        Refusal.when(!isType1(argument.number()), EINVAL);
        IommufdIoas ioas = file.compatIoas();
        if (argument.number() == vfio_h.VFIO_TYPE1_IOMMU()) {
            // The old version may unmap any part, which large pages would not allow.
            ioas.setLargePages(false);
        }
        return 0;
    }

    private static long getInfo(IommufdFile file, Argument argument) {
        long needed = vfio_iommu_type1_info.cap_offset$offset();
        MemorySegment info = Argument.allocate(vfio_iommu_type1_info.sizeof());
        info.copyFrom(argument.read(0, needed));
        int argsz = vfio_iommu_type1_info.argsz(info);
        Refusal.when(Integer.compareUnsigned(argsz, (int) needed) < 0, EINVAL);
        IommufdIoas ioas = file.compatIoas();
        CapabilityChain chain = new CapabilityChain((int) info.byteSize(), file.machine());
        MemorySegment available = Argument.allocate(vfio_iommu_type1_info_dma_avail.sizeof());
        vfio_iommu_type1_info_dma_avail.avail(available, UNLIMITED);
        chain.add(vfio_h.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL(), available);
        chain.add(vfio_h.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE(), ranges(ioas.usable()));
        vfio_iommu_type1_info.flags(info, vfio_h.VFIO_IOMMU_INFO_PGSIZES() | vfio_h.VFIO_IOMMU_INFO_CAPS());
        vfio_iommu_type1_info.iova_pgsizes(info, ioas.hasTables() ? Iommu.PAGE_SIZES : -PhysicalMemory.PAGE);
        chain.write(argument, Integer.toUnsignedLong(argsz));
        if (Integer.compareUnsigned(argsz, chain.end()) >= 0) {
            vfio_iommu_type1_info.cap_offset(info, (int) info.byteSize());
        }
        vfio_iommu_type1_info.argsz(info, chain.end());
        argument.write(0, info.asSlice(0, Math.min(Integer.toUnsignedLong(argsz), info.byteSize())));
        return 0;
    }

    /** The capability that lists where a program may map. */
    public static MemorySegment ranges(List<Iommu.Range> ranges) {
        long array = vfio_iommu_type1_info_cap_iova_range.iova_ranges$offset();
        MemorySegment capability = Argument.allocate(array + ranges.size() * vfio_iova_range.sizeof());
        vfio_iommu_type1_info_cap_iova_range.nr_iovas(capability, ranges.size());
        for (int i = 0; i < ranges.size(); i++) {
            MemorySegment range = vfio_iova_range.asSlice(capability.asSlice(array), i);
            vfio_iova_range.start(range, ranges.get(i).start());
            vfio_iova_range.end(range, ranges.get(i).last());
        }
        return capability;
    }

    private static long map(IommufdFile file, Argument argument) {
        MemorySegment map = argument.read(0, vfio_iommu_type1_dma_map.sizeof());
        int flags = vfio_iommu_type1_dma_map.flags(map);
        int read = vfio_h.VFIO_DMA_MAP_FLAG_READ();
        int write = vfio_h.VFIO_DMA_MAP_FLAG_WRITE();
        Refusal.when(Integer.compareUnsigned(vfio_iommu_type1_dma_map.argsz(map), (int) map.byteSize()) < 0
                || (flags & ~(read | write)) != 0, EINVAL);
        IommufdIoas ioas = file.compatIoas();
        long size = vfio_iommu_type1_dma_map.size(map);
        IommufdIoas.Piece piece = IommufdCommands.userPages(file, vfio_iommu_type1_dma_map.vaddr(map), size,
                (flags & write) != 0);
        ioas.mapAt(vfio_iommu_type1_dma_map.iova(map), List.of(piece), size, (flags & read) != 0,
                (flags & write) != 0);
        return 0;
    }

    private static long unmap(IommufdFile file, Argument argument) {
        MemorySegment unmap = argument.read(0, vfio_iommu_type1_dma_unmap.data$offset());
        int flags = vfio_iommu_type1_dma_unmap.flags(unmap);
        int all = vfio_h.VFIO_DMA_UNMAP_FLAG_ALL();
        Refusal.when(Integer.compareUnsigned(vfio_iommu_type1_dma_unmap.argsz(unmap), (int) unmap.byteSize()) < 0
                || (flags & ~all) != 0, EINVAL);
        IommufdIoas ioas = file.compatIoas();
        long iova = vfio_iommu_type1_dma_unmap.iova(unmap);
        long size = vfio_iommu_type1_dma_unmap.size(unmap);
        Refusal.when((flags & all) != 0 && (iova != 0 || size != 0), EINVAL);
        if ((flags & all) == 0) {
            cut(ioas, iova, size);
        }
        long before = ioas.mappedBytes();
        try {
            if ((flags & all) != 0) {
                ioas.unmapAll();
            } else {
                IommufdCommands.unmapRange(ioas, iova, size);
            }
        } finally {
            // A call that fails half-way tells how far it came.
            vfio_iommu_type1_dma_unmap.size(unmap, before - ioas.mappedBytes());
            argument.write(0, unmap);
        }
        return 0;
    }

    private static void cut(IommufdIoas ioas, long iova, long size) {
        if (!ioas.usesLargePages()) {
            ioas.cut(iova + size - 1);
            if (iova != 0) {
                ioas.cut(iova - 1);
            }
        }
    }
}
