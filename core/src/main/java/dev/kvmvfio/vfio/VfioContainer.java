package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_map;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_unmap;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info_cap_iova_range;
import dev.kvmvfio.bindings.vfio.vfio_iova_range;
import dev.kvmvfio.dma.DmaAccess;
import dev.kvmvfio.dma.DmaSpace;
import dev.kvmvfio.dma.IovaRange;
import dev.kvmvfio.internal.Answer;
import dev.kvmvfio.internal.DeviceNode;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.OneKernel;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.pci.IommuGroup;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * {@code /dev/vfio/vfio}: the address space that groups share for DMA. A container has an IOMMU only as long as a group
 * is in it, so it is opened together with its first group; when the last one leaves, all mappings are gone.
 */
public final class VfioContainer extends DmaSpace {
    /** Where Linux has it. */
    public static final String PATH = "/dev/vfio/vfio";

    private static final Ioctl GET_API_VERSION = new Ioctl("VFIO_GET_API_VERSION", vfio_h.VFIO_GET_API_VERSION());
    private static final Ioctl CHECK_EXTENSION = new Ioctl("VFIO_CHECK_EXTENSION", vfio_h.VFIO_CHECK_EXTENSION());
    private static final Ioctl SET_IOMMU = new Ioctl("VFIO_SET_IOMMU", vfio_h.VFIO_SET_IOMMU());
    private static final Ioctl SET_CONTAINER = new Ioctl("VFIO_GROUP_SET_CONTAINER", vfio_h.VFIO_GROUP_SET_CONTAINER());
    private static final Ioctl GET_INFO = new Ioctl("VFIO_IOMMU_GET_INFO", vfio_h.VFIO_IOMMU_GET_INFO());
    private static final Ioctl MAP_DMA = new Ioctl("VFIO_IOMMU_MAP_DMA", vfio_h.VFIO_IOMMU_MAP_DMA());
    private static final Ioctl UNMAP_DMA = new Ioctl("VFIO_IOMMU_UNMAP_DMA", vfio_h.VFIO_IOMMU_UNMAP_DMA());

    private final FileDescriptor fd;
    private final List<IommuType> iommuTypes;
    private volatile @Nullable Iommu iommu;

    private VfioContainer(FileDescriptor fd, List<IommuType> iommuTypes) {
        super(Rank.FILE);
        this.fd = fd;
        this.iommuTypes = List.copyOf(iommuTypes);
    }

    /** What the container has from its first group until its last one leaves; the mappings go with it. */
    private static final class Iommu extends Handle {
        private final VfioContainer container;
        private final IommuType type;

        Iommu(VfioContainer container, IommuType type) {
            super(Rank.ATTACHMENT);
            this.container = container;
            this.type = type;
        }

        @Override
        public String toString() {
            return "IOMMU of " + container;
        }
    }

    /**
     * Opens {@code /dev/vfio/vfio}, puts a group into it and sets its IOMMU: type 1 v2 where the kernel has it,
     * otherwise type 1 ({@code VFIO_GET_API_VERSION}, {@code VFIO_GROUP_SET_CONTAINER}, {@code VFIO_CHECK_EXTENSION},
     * {@code VFIO_SET_IOMMU}).
     *
     * @param group the first group, in no container yet
     * @return the container, owned by the caller
     * @throws KernelException when the kernel refuses; the message says why
     * @throws HostException when VFIO speaks another version of its interface, or has no type 1 IOMMU
     */
    public static VfioContainer open(VfioGroup group) {
        return open(group, List.of(IommuType.TYPE1V2, IommuType.TYPE1));
    }

    /**
     * Opens a container with a choice of IOMMU types.
     *
     * @param group the first group, in no container yet
     * @param iommuTypes the first choice first
     * @return the container, owned by the caller
     * @throws KernelException when the kernel refuses; the message says why
     * @throws HostException when VFIO speaks another version of its interface, or has none of the types
     */
    public static VfioContainer open(VfioGroup group, List<IommuType> iommuTypes) {
        Kernel kernel = group.fd().kernel();
        FileDescriptor fd = DeviceNode.open(kernel, PATH, VfioContainer::openRemedy);
        return Lifecycle.complete(Lifecycle.root(new VfioContainer(fd, iommuTypes), fd), container -> {
            container.checkApiVersion();
            container.add(group);
        });
    }

    private static String openRemedy(Errno errno) {
        return switch (errno) {
            case ENOENT, ENODEV -> "Load the module vfio (the kernel needs CONFIG_VFIO_CONTAINER); a container needs "
                    + "--device " + PATH;
            default -> "";
        };
    }

    private void checkApiVersion() {
        int version = fd.call(GET_API_VERSION, 0);
        if (version != vfio_h.VFIO_API_VERSION()) {
            throw new HostException(
                    PATH + " speaks API version " + version + ", not " + vfio_h.VFIO_API_VERSION(), "");
        }
    }

    /** The first group gives it one. */
    private synchronized void requireIommu(VfioGroup group) {
        if (iommu == null || !iommu.isOpen()) {
            IommuType type = iommuTypes.stream().filter(some -> fd.call(CHECK_EXTENSION, some.number()) > 0).findFirst()
                    .orElseThrow(() -> new HostException(PATH + " has none of the IOMMU types " + iommuTypes,
                            "Load the module vfio_iommu_type1"));
            iommu = Lifecycle.make(new Iommu(this, type), () -> setIommu(group, type), this);
        }
    }

    private void setIommu(VfioGroup group, IommuType type) {
        int result = fd.ioctl(SET_IOMMU, type.number());
        if (result < 0) {
            throw new KernelException(SET_IOMMU.name(), this, "type=" + type.number(), result,
                    Errno.EPERM.is(result)
                            ? "The platform cannot keep the devices of " + group.iommuGroup()
                                    + " from faking interrupts (no interrupt "
                                    + "remapping: switch it on in the firmware)"
                            : "");
        }
    }

    /**
     * {@code VFIO_GROUP_SET_CONTAINER}: puts one more group into this container, so that its devices see the same
     * memory.
     *
     * @param group a group that is in no container yet
     * @throws IllegalArgumentException when it is of another kernel
     * @throws KernelException when the kernel refuses; the message says why
     * @throws HostException when the group is not viable
     */
    public void add(VfioGroup group) {
        OneKernel.require(fd, group.fd());
        Membership member = Lifecycle.make(new Membership(this, group), () -> setContainer(group), this, group);
        Lifecycle.complete(member, _ -> Lifecycle.lease(this, () -> Lifecycle.lease(member, () -> {
            requireIommu(group);
            return member;
        })));
    }

    private void setContainer(VfioGroup group) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment argument = arena.allocate(ValueLayout.JAVA_INT);
            int result = fd.lend(number -> {
                argument.set(ValueLayout.JAVA_INT, 0, number);
                return group.fd().ioctl(SET_CONTAINER, argument);
            });
            if (Errno.EPERM.is(result) && isBlocked(group.iommuGroup())) {
                throw VfioGroup.notViable(group.iommuGroup());
            }
            if (result < 0) {
                throw new KernelException(SET_CONTAINER.name(), group, "container=" + fd.number(), result,
                        Errno.EINVAL.is(result) ? "The group is in a container already" : "");
            }
        }
    }

    /** When that cannot be found out, the kernel's own refusal is what there is to tell. */
    private static boolean isBlocked(IommuGroup group) {
        try {
            return !group.blockers().isEmpty();
        } catch (RuntimeException unknown) {
            return false;
        }
    }

    /** Whether no other group stays when this one leaves; of two that leave at once each is the last. */
    boolean isLast(Membership member) {
        return Lifecycle.children(this, Membership.class).stream()
                .noneMatch(other -> other != member && other.isOpen());
    }

    /** The mappings, and what maps, end with the last group, so they are closed while the kernel still knows them. */
    boolean closeIommu() {
        return Lifecycle.closeAll(Lifecycle.children(this).reversed().stream()
                .filter(child -> !(child instanceof Membership)).toList());
    }

    @Override
    protected Handle owner() {
        return Lifecycle.part(iommu, this);
    }

    /**
     * Which IOMMU it has.
     *
     * @return as {@code VFIO_SET_IOMMU} set it
     * @throws IllegalStateException while its first group is being added
     */
    public IommuType iommuType() {
        return Lifecycle.part(iommu, this).type;
    }

    @Override
    public FileDescriptor fd() {
        return fd;
    }

    @Override
    protected int mapPages(long iova, long address, long size, DmaAccess access) {
        MemorySegment request = vfio_iommu_type1_dma_map.allocate(Scratch.begin());
        vfio_iommu_type1_dma_map.argsz(request, (int) request.byteSize());
        vfio_iommu_type1_dma_map.flags(request, (access.reads() ? vfio_h.VFIO_DMA_MAP_FLAG_READ() : 0)
                | (access.writes() ? vfio_h.VFIO_DMA_MAP_FLAG_WRITE() : 0));
        vfio_iommu_type1_dma_map.vaddr(request, address);
        vfio_iommu_type1_dma_map.iova(request, iova);
        vfio_iommu_type1_dma_map.size(request, size);
        return fd.ioctl(MAP_DMA, request);
    }

    @Override
    protected int unmapPages(long iova, long size, LongConsumer unmapped) {
        MemorySegment request = vfio_iommu_type1_dma_unmap.allocate(Scratch.begin());
        vfio_iommu_type1_dma_unmap.argsz(request, (int) vfio_iommu_type1_dma_unmap.sizeof());
        vfio_iommu_type1_dma_unmap.iova(request, iova);
        vfio_iommu_type1_dma_unmap.size(request, size);
        int result = fd.ioctl(UNMAP_DMA, request);
        if (result >= 0) {
            unmapped.accept(vfio_iommu_type1_dma_unmap.size(request));
        }
        return result;
    }

    /** {@code VFIO_IOMMU_GET_INFO}. {@inheritDoc} */
    @Override
    public List<IovaRange> iovaRanges() {
        return Lifecycle.lease(owner(), this::readRanges);
    }

    private List<IovaRange> readRanges() {
        Answer answer = new Answer(GET_INFO.name(), this);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = GrowingInfo.ask(arena, vfio_iommu_type1_info.sizeof(), answer, this::ask)
                    .orElseThrow();
            return Capability.chain(answer, info, vfio_iommu_type1_info.cap_offset(info)).stream()
                    .filter(capability -> capability.id() == vfio_h.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE())
                    .findFirst().map(VfioContainer::ranges).orElse(List.of());
        }
    }

    private boolean ask(MemorySegment info) {
        return fd.call(GET_INFO, info) >= 0;
    }

    private static List<IovaRange> ranges(Capability capability) {
        long first = vfio_iommu_type1_info_cap_iova_range.sizeof();
        MemorySegment body = capability.body(first);
        return capability.answer().array("ranges", vfio_iommu_type1_info_cap_iova_range.nr_iovas(body),
                body.asSlice(first), vfio_iova_range.sizeof(),
                range -> new IovaRange(vfio_iova_range.start(range), vfio_iova_range.end(range)));
    }

    @Override
    protected String mapCall() {
        return MAP_DMA.name();
    }

    @Override
    protected String unmapCall() {
        return UNMAP_DMA.name();
    }

    @Override
    protected void release() {
        fd.close();
    }

    @Override
    public String toString() {
        return fd.toString();
    }
}
