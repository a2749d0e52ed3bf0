package dev.kvmvfio.kernel;

import dev.kvmvfio.internal.PageAlignment;
import dev.kvmvfio.internal.Rank;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Memory that {@code mmap(2)} brought into this process and that a VM can be given: {@link HostMemory}, or a part of a
 * device's BAR. Closing it takes the memory slots and the DMA mappings that use it away first, also from a guest that
 * runs; then it waits for calls that run with its segment. After that the segment throws instead of reaching what the
 * address means by then.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread; what is stored in the memory is for its users to
 * keep in order.
 */
public abstract class MappedMemory extends Handle {
    private final Kernel kernel;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;

    /**
     * Takes ownership of a mapping.
     *
     * @param kernel the kernel that mapped it
     * @param address what {@code mmap} returned
     * @param size in bytes
     */
    @SuppressWarnings("restricted") // mmap returned exactly this much
    protected MappedMemory(Kernel kernel, long address, long size) {
        super(Rank.MEMORY);
        this.kernel = kernel;
        this.segment = MemorySegment.ofAddress(address).reinterpret(size, arena, null);
    }

    /**
     * The kernel that mapped this memory.
     *
     * @return never null
     */
    public final Kernel kernel() {
        return kernel;
    }

    /**
     * The memory itself, which any thread may use.
     *
     * @return a segment that throws {@link IllegalStateException} once this memory is closed
     */
    public final MemorySegment segment() {
        return segment;
    }

    /**
     * The size.
     *
     * @return bytes, a multiple of the page size
     */
    public final long size() {
        return segment.byteSize();
    }

    /**
     * Checks a part of this memory and finds its address.
     *
     * @param offset of the first byte, a multiple of the page size
     * @param size in bytes, a multiple of the page size, not zero
     * @return the address of the first byte
     * @throws IllegalArgumentException when the part is misaligned or reaches outside
     * @throws ClosedException when this memory is closed
     */
    public final long addressOf(long offset, long size) {
        PageAlignment.check(kernel, "offset", offset);
        PageAlignment.checkLength(kernel, size);
        if (offset < 0 || size > size() - offset) {
            throw new IllegalArgumentException(
                    String.format("0x%x bytes at offset 0x%x reach outside %s", size, offset, this));
        }
        if (!isOpen()) {
            throw new ClosedException(this);
        }
        return segment.address() + offset;
    }

    /** A system call that runs with the segment has its address, and the JDK refuses to close it until that returns. */
    @Override
    protected boolean settle() {
        if (arena.scope().isAlive()) {
            try {
                arena.close();
            } catch (IllegalStateException inUse) {
                return !arena.scope().isAlive();
            }
        }
        return true;
    }

    @Override
    protected void release() {
        int result = kernel.munmap(segment.address(), segment.byteSize());
        if (result < 0) {
            throw new KernelException("munmap", this, result);
        }
    }
}
