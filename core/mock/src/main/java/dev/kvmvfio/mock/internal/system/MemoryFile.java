package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.HugePages;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.util.BitSet;

/**
 * Memory that is a file: a memfd. Anonymous memory in huge pages is one as well, which no number leads to. Huge pages
 * are set aside when they are mapped, and given back with the file.
 */
final class MemoryFile extends OpenFile {
    private static final int LONGEST_NAME = 249;
    private static final int KNOWN_FLAGS = system_h.MFD_CLOEXEC() | system_h.MFD_ALLOW_SEALING()
            | system_h.MFD_HUGETLB();
    /** Whether it may be executed, which Linux 6.3 began to ask. */
    private static final int EXECUTION_FLAGS = 0x18;
    private static final int SIZE_BITS = 0x3f;

    private final Machine machine;
    private final HugePages hugePages;
    private final BitSet taken = new BitSet();
    private long size;
    private PhysicalMemory.Block block;

    /**
     * Makes an empty file.
     *
     * @param hugePages the size of its pages, or null for ordinary ones
     */
    MemoryFile(Machine machine, String name, HugePages hugePages) {
        super(name);
        this.machine = machine;
        this.hugePages = hugePages;
    }

    static MemoryFile memfd(Machine machine, String name, int flags) {
        boolean huge = (flags & system_h.MFD_HUGETLB()) != 0;
        int unknown = flags & ~KNOWN_FLAGS & ~(huge ? SIZE_BITS << system_h.MAP_HUGE_SHIFT() : 0);
        boolean known = machine.isAtLeast(KernelProfile.V6_12) && (unknown & ~EXECUTION_FLAGS) == 0;
        Refusal.when(unknown != 0 && !known || name.getBytes().length > LONGEST_NAME, EINVAL);
        if (unknown != 0) {
            throw new NotModelledException("memfd_create with MFD_EXEC or MFD_NOEXEC_SEAL");
        }
        HugePages pages = huge ? sizeOf(flags) : null;
        Refusal.when(huge && pages == null, ENODEV);
        return new MemoryFile(machine, "memfd:" + name, pages);
    }

    /** Anonymous memory in huge pages; the flags are those of {@code mmap}. */
    static MemoryFile anonymous(Machine machine, int flags, long length) {
        HugePages pages = sizeOf(flags);
        Refusal.when(pages == null, EINVAL);
        MemoryFile file = new MemoryFile(machine, "anonymous memory", pages);
        file.ftruncate(file.wholePages(length));
        return file;
    }

    /** The size that the highest bits say, as the logarithm; 0 stands for x86-64's usual one. */
    private static HugePages sizeOf(int flags) {
        int logarithm = flags >>> system_h.MAP_HUGE_SHIFT() & SIZE_BITS;
        for (HugePages pages : HugePages.values()) {
            if (1L << logarithm == pages.size()) {
                return pages;
            }
        }
        return logarithm == 0 ? HugePages.SIZE_2M : null;
    }

    private long pageSize() {
        return hugePages == null ? PhysicalMemory.PAGE : hugePages.size();
    }

    private long wholePages(long bytes) {
        return bytes + pageSize() - 1 & -pageSize();
    }

    @Override
    long ftruncate(long length) {
        Refusal.when(length < 0 || hugePages != null && length != wholePages(length), EINVAL);
        if (block != null && length != size) {
            throw new NotModelledException("a mapped memfd that changes its size");
        }
        size = length;
        return 0;
    }

    @Override
    protected Mapping mmap(MappingRequest request) {
        if (!request.shared()) {
            throw new NotModelledException("a private mapping of a memfd");
        }
        return map(request);
    }

    Mapping map(MappingRequest request) {
        long length = wholePages(request.length());
        Refusal.when(request.offset() % pageSize() != 0, EINVAL);
        if (request.offset() + length > wholePages(size)) {
            throw new NotModelledException("mmap beyond the end of a memfd");
        }
        takeHugePages(request.offset(), length);
        if (block == null) {
            block = machine.physicalMemory().allocate(size);
        }
        return new Mapping(block, request.offset(), length, request.writable(), this);
    }

    private void takeHugePages(long offset, long length) {
        if (hugePages == null) {
            return;
        }
        int first = (int) (offset / pageSize());
        int end = (int) ((offset + length) / pageSize());
        machine.hugePagePool().take(hugePages, end - first - taken.get(first, end).cardinality());
        taken.set(first, end);
    }

    @Override
    protected long pread(Buffer buffer, long offset) {
        throw new NotModelledException("pread of a memfd");
    }

    @Override
    protected long pwrite(Buffer buffer, long offset) {
        throw new NotModelledException("pwrite of a memfd");
    }

    @Override
    protected long read(Buffer buffer) {
        throw new NotModelledException("read of a memfd");
    }

    @Override
    protected long write(Buffer buffer) {
        throw new NotModelledException("write of a memfd");
    }

    @Override
    protected void release() {
        if (block != null) {
            block.put();
        }
        if (hugePages != null) {
            machine.hugePagePool().giveBack(hugePages, taken.cardinality());
        }
    }
}
