package dev.kvmvfio.kernel;

import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Memory of this process that a guest or a device can be given: a guest's RAM, or a buffer for DMA. It starts on a page
 * and begins as zeroes.
 *
 * {@snippet :
 * HostMemory ram = HostMemory.allocate(Kernel.linux(), 64 << 20);
 * HostMemory large = HostMemory.request(Kernel.linux(), 4L << 30)
 *         .memfd("guest").hugePages(HugePages.SIZE_1G).allocate();
 * }
 *
 * <p>Closing it takes it from everybody first: the memory slots and the DMA mappings that use it are closed, and a guest
 * that runs, or a device, finds nothing there any more.
 */
public final class HostMemory extends MappedMemory {
    private final @Nullable FileDescriptor file;
    private final String description;

    HostMemory(Kernel kernel, long address, long size, @Nullable FileDescriptor file, String description) {
        super(kernel, address, size);
        this.file = file;
        this.description = description;
    }

    /**
     * Begins a request for memory that is more than anonymous.
     *
     * @param kernel where to allocate it
     * @param size in bytes, a positive multiple of the page size
     * @return the request
     */
    public static HostMemoryRequest request(Kernel kernel, long size) {
        return new HostMemoryRequest(kernel, size);
    }

    /**
     * Allocates anonymous memory; a page takes up room when it is first touched.
     *
     * @param kernel where to allocate it
     * @param size in bytes, a positive multiple of the page size
     * @return the memory, owned by the caller
     * @throws IllegalArgumentException when the size is not whole pages
     * @throws KernelException when there is no room
     */
    public static HostMemory allocate(Kernel kernel, long size) {
        return request(kernel, size).allocate();
    }

    /**
     * The memfd that this memory is, to give to another process.
     *
     * @return owned by this object; empty for anonymous memory
     */
    public Optional<FileDescriptor> file() {
        return Optional.ofNullable(file);
    }

    /** The file first: it is closed once whatever happens, and unmapping is what can be refused. */
    @Override
    protected void release() {
        if (file != null) {
            file.close();
        }
        super.release();
    }

    @Override
    public String toString() {
        return description;
    }
}
