package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.PageAlignment;
import org.jspecify.annotations.Nullable;

/**
 * What memory is wanted: made by {@link HostMemory#request}, completed by its own methods, and carried out by
 * {@link #allocate()}. Without more it is anonymous memory of ordinary pages, which take up room when they are first
 * touched.
 *
 * <p><b>Thread-safety:</b> none; a request is for one thread.
 */
public final class HostMemoryRequest {
    private final Kernel kernel;
    private final long size;
    private @Nullable String name;
    private @Nullable HugePages hugePages;
    private boolean prefault;

    HostMemoryRequest(Kernel kernel, long size) {
        this.kernel = kernel;
        this.size = size;
    }

    /**
     * Makes it a file ({@code memfd_create(2)}) that another process can map as well, through
     * {@link HostMemory#file()}. Needs Linux 3.17.
     *
     * @param fileName what {@code /proc} shows it as
     * @return this
     */
    public HostMemoryRequest memfd(String fileName) {
        name = fileName;
        return this;
    }

    /**
     * Takes huge pages, which the administrator has reserved. All that are needed are set aside at once, so that
     * touching the memory cannot fail later. A memfd of them needs Linux 4.14.
     *
     * @param pages their size, of which the memory's size must be a multiple
     * @return this
     */
    public HostMemoryRequest hugePages(HugePages pages) {
        hugePages = pages;
        return this;
    }

    /**
     * Touches every page now ({@code MAP_POPULATE}), so that the guest does not wait for it later.
     *
     * @return this
     */
    public HostMemoryRequest prefault() {
        prefault = true;
        return this;
    }

    /**
     * Allocates the memory.
     *
     * @return the memory, owned by the caller
     * @throws IllegalArgumentException when the size is not whole pages
     * @throws KernelException when the kernel refuses: {@code ENOMEM} when there is no room or too few huge pages are
     *         free; the message says what to do
     */
    public HostMemory allocate() {
        PageAlignment.checkLength(hugePages == null ? PageAlignment.pageSize(kernel) : hugePages.size(), size);
        return name == null ? anonymous() : ofFile(name);
    }

    private HostMemory anonymous() {
        int flags = system_h.MAP_PRIVATE() | system_h.MAP_ANONYMOUS() | mapFlags();
        return mapped(Lifecycle.calling(() -> kernel.mmap(size, protection(), flags, -1, 0)), null);
    }

    private HostMemory ofFile(String fileName) {
        int flags = system_h.MFD_CLOEXEC() | (hugePages == null ? 0 : hugePages.memfdFlags());
        FileDescriptor file = FileDescriptor.own(kernel,
                (int) check("memfd_create", Lifecycle.calling(() -> kernel.memfd(fileName, flags))),
                "memfd " + fileName);
        try {
            check("ftruncate", file.ftruncate(size));
            return mapped(file.mmap(size, protection(), system_h.MAP_SHARED() | mapFlags(), 0), file);
        } catch (Throwable failure) {
            file.close();
            throw failure;
        }
    }

    private static int protection() {
        return system_h.PROT_READ() | system_h.PROT_WRITE();
    }

    /** Without a reservation, a huge page that is missing later would end the process. */
    private int mapFlags() {
        int huge = hugePages == null ? 0 : hugePages.mapFlags();
        return huge | (prefault ? system_h.MAP_POPULATE() : hugePages == null ? system_h.MAP_NORESERVE() : 0);
    }

    private HostMemory mapped(long address, @Nullable FileDescriptor file) {
        String description = toString();
        return Lifecycle.root(new HostMemory(kernel, check("mmap", address), size, file, description), description);
    }

    private long check(String call, long result) {
        if (result < 0) {
            String remedy = hugePages == null ? "" : hugePages.remedy(Errno.of((int) -result), size);
            throw new KernelException(call, this, "length=" + size, result, remedy);
        }
        return result;
    }

    @Override
    public String toString() {
        return String.format("host memory of 0x%x bytes", size) + (hugePages == null ? "" : " in pages of " + hugePages)
                + (name == null ? "" : ", memfd " + name);
    }
}
