package dev.kvmvfio.iommufd;

import dev.kvmvfio.bindings.iommufd.iommu_ioas_iova_ranges;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_map;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_unmap;
import dev.kvmvfio.bindings.iommufd.iommu_iova_range;
import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.dma.DmaAccess;
import dev.kvmvfio.dma.DmaMapping;
import dev.kvmvfio.dma.DmaSpace;
import dev.kvmvfio.dma.IovaRange;
import dev.kvmvfio.internal.Answer;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.MappedMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.LongConsumer;

/**
 * An I/O address space of iommufd. Memory that is mapped here is reachable for every device that is attached to it.
 *
 * <p>Memory is pinned when a device is attached, or when it is mapped while one is; until then a bad mapping goes
 * unnoticed. Closing it destroys it ({@code IOMMU_DESTROY}).
 */
public final class Ioas extends DmaSpace {
    private static final Ioctl MAP = new Ioctl("IOMMU_IOAS_MAP", iommufd_h.IOMMU_IOAS_MAP());
    private static final Ioctl UNMAP = new Ioctl("IOMMU_IOAS_UNMAP", iommufd_h.IOMMU_IOAS_UNMAP());
    private static final Ioctl IOVA_RANGES = new Ioctl("IOMMU_IOAS_IOVA_RANGES", iommufd_h.IOMMU_IOAS_IOVA_RANGES());

    /** Much more than any IOMMU has. */
    private static final int MOST_RANGES = 1 << 16;

    private final Iommufd iommufd;
    private final int id;

    Ioas(Iommufd iommufd, int id) {
        super(Rank.DEVICE);
        this.iommufd = iommufd;
        this.id = id;
    }

    /**
     * The number that iommufd knows it by.
     *
     * @return unique among everything in its iommufd
     */
    public int id() {
        return id;
    }

    /**
     * The iommufd that it is in.
     *
     * @return its owner
     */
    public Iommufd iommufd() {
        return iommufd;
    }

    @Override
    public FileDescriptor fd() {
        return iommufd.fd();
    }

    /**
     * {@code IOMMU_IOAS_MAP} of a whole memory at an IOVA that the kernel chooses.
     *
     * @param memory what the devices shall see; closing it closes the mapping
     * @param access what they may do with it
     * @return the mapping, which says where it is
     * @throws IllegalArgumentException when the memory is of another kernel
     * @throws KernelException when the kernel refuses
     */
    public DmaMapping map(MappedMemory memory, DmaAccess access) {
        long address = memory.addressOf(0, memory.size());
        return mapAnywhere(memory, memory.size(), () -> {
            MemorySegment request = request(address, memory.size(), access);
            fd().call(MAP, request);
            return iommu_ioas_map.iova(request);
        });
    }

    @Override
    protected Handle owner() {
        return this;
    }

    @Override
    protected int mapPages(long iova, long address, long size, DmaAccess access) {
        MemorySegment request = request(address, size, access);
        iommu_ioas_map.flags(request, iommu_ioas_map.flags(request) | iommufd_h.IOMMU_IOAS_MAP_FIXED_IOVA());
        iommu_ioas_map.iova(request, iova);
        return fd().ioctl(MAP, request);
    }

    private MemorySegment request(long address, long size, DmaAccess access) {
        MemorySegment request = iommu_ioas_map.allocate(Scratch.begin());
        iommu_ioas_map.size(request, (int) request.byteSize());
        iommu_ioas_map.flags(request, (access.reads() ? iommufd_h.IOMMU_IOAS_MAP_READABLE() : 0)
                | (access.writes() ? iommufd_h.IOMMU_IOAS_MAP_WRITEABLE() : 0));
        iommu_ioas_map.ioas_id(request, id);
        iommu_ioas_map.user_va(request, address);
        iommu_ioas_map.length(request, size);
        return request;
    }

    @Override
    protected int unmapPages(long iova, long size, LongConsumer unmapped) {
        MemorySegment request = iommu_ioas_unmap.allocate(Scratch.begin());
        iommu_ioas_unmap.size(request, (int) request.byteSize());
        iommu_ioas_unmap.ioas_id(request, id);
        iommu_ioas_unmap.iova(request, iova);
        iommu_ioas_unmap.length(request, size);
        int result = fd().ioctl(UNMAP, request);
        if (result >= 0) {
            unmapped.accept(iommu_ioas_unmap.length(request));
        }
        return result;
    }

    /** {@code IOMMU_IOAS_IOVA_RANGES}. {@inheritDoc} */
    @Override
    public List<IovaRange> iovaRanges() {
        return Lifecycle.lease(this, this::readRanges);
    }

    private List<IovaRange> readRanges() {
        Answer answer = new Answer(IOVA_RANGES.name(), this);
        int capacity = 16;
        while (true) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment ranges = iommu_iova_range.allocateArray(capacity, arena);
                MemorySegment request = rangesRequest(arena, ranges, capacity);
                int result = fd().ioctl(IOVA_RANGES, request);
                int count = iommu_ioas_iova_ranges.num_iovas(request);
                if (result >= 0) {
                    return answer.array("ranges", count, ranges, iommu_iova_range.sizeof(),
                            range -> new IovaRange(iommu_iova_range.start(range), iommu_iova_range.last(range)));
                }
                // With room for more than the kernel says it has, its errno is about something else.
                if (!Errno.EMSGSIZE.is(result) || answer.count("ranges", count, MOST_RANGES) <= capacity) {
                    throw new KernelException(IOVA_RANGES.name(), this, "num_iovas=" + capacity, result, "");
                }
                capacity = Math.max(count, 2 * capacity);
            }
        }
    }

    private MemorySegment rangesRequest(Arena arena, MemorySegment ranges, int capacity) {
        MemorySegment request = iommu_ioas_iova_ranges.allocate(arena);
        iommu_ioas_iova_ranges.size(request, (int) request.byteSize());
        iommu_ioas_iova_ranges.ioas_id(request, id);
        iommu_ioas_iova_ranges.num_iovas(request, capacity);
        iommu_ioas_iova_ranges.allowed_iovas(request, ranges.address());
        return request;
    }

    @Override
    protected String mapCall() {
        return MAP.name();
    }

    @Override
    protected String unmapCall() {
        return UNMAP.name();
    }

    @Override
    protected void release() {
        iommufd.destroy(id);
    }

    @Override
    public String toString() {
        return "IOAS " + id + " of " + iommufd;
    }
}
