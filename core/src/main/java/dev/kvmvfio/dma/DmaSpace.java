package dev.kvmvfio.dma;

import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.OneKernel;
import dev.kvmvfio.internal.PageAlignment;
import dev.kvmvfio.internal.Remedy;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.MappedMemory;
import dev.kvmvfio.vfio.VfioContainer;
import java.util.List;
import java.util.function.LongConsumer;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;

/**
 * The addresses that devices use for DMA, and what memory they stand for: an IOAS of iommufd, or a VFIO container. All
 * devices that are attached to one see the same memory.
 *
 * <p>Mapped memory is pinned, so it counts against {@code RLIMIT_MEMLOCK}. Mappings belong to the space and to their
 * memory: closing either takes the memory from the devices first.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public abstract sealed class DmaSpace extends Handle permits VfioContainer, Ioas {
    /** No address, because the kernel chooses one. */
    static final long ANYWHERE = -1;

    /**
     * For the two permitted types.
     *
     * @param rank where the type stands in the order of closing
     */
    protected DmaSpace(int rank) {
        super(rank);
    }

    /**
     * What mappings belong to: this, or the part of it that they go with.
     *
     * @return a handle that is open while anything can be mapped
     * @throws ClosedException when nothing can be mapped any more
     */
    protected abstract Handle owner();

    /**
     * Maps a whole memory for reading and writing.
     *
     * @param iova where the devices shall see it, in bytes; a multiple of the page size
     * @param memory what they shall see; closing it closes the mapping
     * @return the mapping, which belongs to this space and to the memory
     * @throws IllegalArgumentException when the IOVA is not page-aligned, or the memory is of another kernel
     * @throws KernelException when the kernel refuses; the message says why
     */
    public final DmaMapping map(long iova, MappedMemory memory) {
        return map(iova, memory, 0, memory.size(), DmaAccess.READ_WRITE);
    }

    /**
     * Maps a part of a memory: {@code IOMMU_IOAS_MAP}, or {@code VFIO_IOMMU_MAP_DMA} of a container.
     *
     * @param iova where the devices shall see it, in bytes; a multiple of the page size
     * @param memory what they shall see; closing it closes the mapping
     * @param offset of the part within the memory, in bytes; a multiple of the page size
     * @param size in bytes; a multiple of the page size
     * @param access what the devices may do with it
     * @return the mapping, which belongs to this space and to the memory
     * @throws IllegalArgumentException when anything is not page-aligned, the part reaches outside the memory, or the
     *         memory is of another kernel
     * @throws KernelException when the kernel refuses: {@code EEXIST} when a mapping is in the way, {@code ENOMEM} when
     *         {@code RLIMIT_MEMLOCK} is too small, {@code EINVAL} when the addresses cannot be mapped
     */
    public final DmaMapping map(long iova, MappedMemory memory, long offset, long size, DmaAccess access) {
        PageAlignment.check(memory.kernel(), "IOVA", iova);
        OneKernel.require(fd(), memory);
        long address = memory.addressOf(offset, size);
        return Lifecycle.make(new DmaMapping(this, iova, size), () -> map(iova, address, size, access), owner(),
                memory);
    }

    private void map(long iova, long address, long size, DmaAccess access) {
        int result = mapPages(iova, address, size, access);
        if (result < 0) {
            throw new KernelException(mapCall(), this,
                    String.format("iova=0x%x, length=0x%x, vaddr=0x%x, access=%s", iova,
                            size, address, access),
                    result, Remedy.of(() -> remedy(result, iova, size)));
        }
    }

    /**
     * Maps where the kernel likes.
     *
     * @param memory what
     * @param size how much, in bytes
     * @param call maps it and answers where
     * @return the mapping, which belongs to this space and to the memory
     */
    protected final DmaMapping mapAnywhere(MappedMemory memory, long size, LongSupplier call) {
        OneKernel.require(fd(), memory);
        DmaMapping mapping = new DmaMapping(this, ANYWHERE, size);
        return Lifecycle.make(mapping, () -> mapping.setIova(call.getAsLong()), owner(), memory);
    }

    private String remedy(int result, long iova, long size) {
        return switch (Errno.of(-result)) {
            case EEXIST -> "It overlaps " + mappings().stream().filter(some -> some.overlaps(iova, size)).toList();
            case ENOMEM -> Memlock.describe(fd().kernel(), size);
            case ENOSPC -> "The container's limit of mappings (dma_entry_limit) is used up: map larger pieces";
            case EINVAL, EADDRINUSE, EOVERFLOW -> reserved(iova, size);
            default -> "";
        };
    }

    private String reserved(long iova, long size) {
        List<IovaRange> ranges = iovaRanges();
        if (ranges.stream().anyMatch(range -> range.contains(iova, size))) {
            return "";
        }
        return "These addresses are reserved or outside what the IOMMU can map. It can map "
                + ranges.stream().map(IovaRange::toString).collect(Collectors.joining(", "));
    }

    /**
     * The mappings that are there now.
     *
     * @return a copy, the oldest first
     */
    public final List<DmaMapping> mappings() {
        return Lifecycle.children(owner(), DmaMapping.class);
    }

    /**
     * Closes all mappings, the youngest first.
     *
     * @throws KernelException the first failure; all other mappings are closed all the same
     */
    public final void closeMappings() {
        Lifecycle.closeAll(mappings().reversed());
    }

    /** Devices fall silent before their memory is taken from them. */
    @Override
    protected final boolean quiesce() {
        return Lifecycle.quiesceChildren(this);
    }

    final void unmap(DmaMapping mapping) {
        int result = unmapPages(mapping.iova(), mapping.size(), unmapped -> requireAll(mapping, unmapped));
        if (result < 0) {
            throw new KernelException(unmapCall(), this,
                    String.format("iova=0x%x, length=0x%x", mapping.iova(), mapping.size()), result, "");
        }
    }

    /** Nothing is what the kernel unmaps when the mapping is gone. */
    private void requireAll(DmaMapping mapping, long unmapped) {
        if (unmapped != 0 && unmapped != mapping.size()) {
            throw new AnswerException(unmapCall(), this, String.format("0x%x bytes for %s", unmapped, mapping));
        }
    }

    /**
     * Which addresses can be mapped: {@code IOMMU_IOAS_IOVA_RANGES}, or the IOVA range capability of
     * {@code VFIO_IOMMU_GET_INFO}. Attaching a device may make them fewer.
     *
     * @return in ascending order; empty when the kernel does not say
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when it answers more than it can have
     */
    public abstract List<IovaRange> iovaRanges();

    /**
     * The open file, for an ioctl that this library does not wrap.
     *
     * @return of the container, or of the iommufd that the IOAS is in
     */
    public abstract FileDescriptor fd();

    /**
     * The ioctl that maps.
     *
     * @return its name
     */
    protected abstract String mapCall();

    /**
     * The ioctl that unmaps.
     *
     * @return its name
     */
    protected abstract String unmapCall();

    /**
     * Maps at a fixed IOVA.
     *
     * @param iova the first address
     * @param address of the memory in this process
     * @param size in bytes
     * @param access what the devices may do
     * @return 0 or a negative errno
     */
    protected abstract int mapPages(long iova, long address, long size, DmaAccess access);

    /**
     * Unmaps.
     *
     * @param iova the first address
     * @param size in bytes
     * @param unmapped is told how many bytes were unmapped
     * @return 0 or more, or a negative errno
     */
    protected abstract int unmapPages(long iova, long size, LongConsumer unmapped);
}
