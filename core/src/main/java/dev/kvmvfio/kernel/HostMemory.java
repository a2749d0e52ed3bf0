package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.system.system_h;
import java.util.List;

/**
 * Memory of this process that a guest or a device can be given: a guest's RAM, or a buffer for DMA. It starts on a page
 * and begins as zeroes.
 *
 * <p>A device writes to it whenever it likes while it is mapped for DMA, so {@link #close()} refuses as long as a
 * memory slot or a DMA mapping uses it.
 */
public final class HostMemory extends MappedMemory {
    private HostMemory(Kernel kernel, long address, long size) {
        super(kernel, address, size);
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
        PageAlignment.checkLength(kernel, size);
        long address = kernel.mmap(size, system_h.PROT_READ() | system_h.PROT_WRITE(),
                system_h.MAP_PRIVATE() | system_h.MAP_ANONYMOUS() | system_h.MAP_NORESERVE(), -1, 0);
        if (address < 0) {
            throw new KernelException("mmap", "anonymous memory", "length=" + size, address, "");
        }
        return new HostMemory(kernel, address, size);
    }

    @Override
    protected String reasonToStayOpen() {
        List<Handle> users = children();
        return users.isEmpty() ? null : this + " is still used by " + users + ": close these first";
    }

    @Override
    public String toString() {
        return String.format("host memory of 0x%x bytes", size());
    }
}
