package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;

import dev.kvmvfio.bindings.system.system_h;
import java.lang.foreign.MemorySegment;

/**
 * An open file, which is more than a file descriptor: several numbers can stand for it, and KVM, a mapping or a device
 * can keep it open when no number is left.
 */
public abstract class OpenFile {
    /** What {@code poll} answers for a file that has nothing to say. */
    static final int ALWAYS_READY = system_h.POLLIN() | system_h.POLLOUT() | system_h.POLLRDNORM()
            | system_h.POLLWRNORM();

    private final String name;
    private int references = 1;

    public OpenFile(String name) {
        this.name = name;
    }

    public final String name() {
        return name;
    }

    public final OpenFile get() {
        references++;
        return this;
    }

    public final void put() {
        if (--references == 0) {
            release();
        }
    }

    /** Whether no number stands for it any more, and nothing keeps it open. */
    final boolean isReleased() {
        return references == 0;
    }

    /** The last reference is gone. */
    protected void release() {
    }

    protected IoctlTable<?> ioctls() {
        return IoctlTable.NONE;
    }

    protected long ioctl(long request, Argument argument) {
        return ioctls().call(this, request, argument);
    }

    protected long read(Buffer buffer) {
        throw Refusal.of(EINVAL);
    }

    protected long write(Buffer buffer) {
        throw Refusal.of(EINVAL);
    }

    protected long pread(Buffer buffer, long offset) {
        throw Refusal.of(EINVAL);
    }

    protected long pwrite(Buffer buffer, long offset) {
        throw Refusal.of(EINVAL);
    }

    long ftruncate(long length) {
        throw Refusal.of(EINVAL);
    }

    protected Mapping mmap(MappingRequest request) {
        throw Refusal.of(ENODEV);
    }

    /** Whether what is mapped from here is a device's, and not memory. */
    protected boolean isDevice() {
        return false;
    }

    /** The {@code POLL} bits that are set now. */
    int poll() {
        return ALWAYS_READY;
    }

    /** Why an open file of this kind counts as a leak; standard input and the like do not. */
    boolean isStandard() {
        return false;
    }

    /** The bytes that a user gave to a call that reads or writes. */
    public record Buffer(UserMemory memory, MemorySegment segment) {
        public long size() {
            return segment.byteSize();
        }

        public MemorySegment copyIn(long bytes) {
            return new Argument(memory, segment).read(0, bytes);
        }

        public void copyOut(MemorySegment from) {
            new Argument(memory, segment).write(0, from);
        }
    }

    /** What {@code mmap} was asked for, checked as far as any file needs it. */
    public record MappingRequest(long length, int protection, boolean shared, long offset) {
        public boolean writable() {
            return (protection & system_h.PROT_WRITE()) != 0;
        }
    }

    @Override
    public final String toString() {
        return name;
    }
}
