package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOMEM;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.IntSupplier;
import java.util.function.ToLongFunction;

/** The system calls of a modelled machine. A refused call ends with a {@link Refusal}. */
public final class MachineKernel implements Kernel {
    /** As glibc and musl have it. */
    private static final int FIRST_REAL_TIME_SIGNAL = 34;
    private static final int LAST_SIGNAL = 64;

    private final Machine machine;
    private final HostFiles hostFiles;

    public MachineKernel(Machine machine, HostFiles hostFiles) {
        this.machine = machine;
        this.hostFiles = hostFiles;
    }

    @Override
    public int open(String path, int flags) {
        return machine.files().install(hostFiles.open(path, flags));
    }

    @Override
    public int close(int fd) {
        machine.files().close(fd);
        return 0;
    }

    @Override
    public int dup(int fd) {
        return machine.files().install(machine.files().get(fd).get());
    }

    @Override
    public int ioctl(int fd, long request, MemorySegment segment) {
        requireNative(segment);
        return (int) held(fd, file -> file.ioctl(request, new Argument(machine.userMemory(), segment)));
    }

    @Override
    public long mmap(long length, int protection, int flags, int fd, long offset) {
        boolean anonymous = (flags & system_h.MAP_ANONYMOUS()) != 0;
        boolean shared = (flags & system_h.MAP_SHARED()) != 0;
        boolean isPrivate = (flags & system_h.MAP_PRIVATE()) != 0;
        Refusal.when((offset & PhysicalMemory.PAGE - 1) != 0, EINVAL);
        OpenFile file = anonymous ? null : machine.files().get(fd);
        Refusal.when(length == 0, EINVAL);
        Refusal.when(length < 0 || !UserMemory.isUserRange(0, PhysicalMemory.wholePages(length)), ENOMEM);
        Refusal.when(!shared && !isPrivate, EINVAL);
        if ((flags & (system_h.MAP_FIXED() | system_h.MAP_FIXED_NOREPLACE())) != 0) {
            throw new NotModelledException("mmap at a fixed address");
        }
        boolean huge = (flags & system_h.MAP_HUGETLB()) != 0;
        if (huge && (flags & system_h.MAP_NORESERVE()) != 0) {
            throw new NotModelledException("huge pages that are not set aside");
        }
        OpenFile.MappingRequest request = new OpenFile.MappingRequest(PhysicalMemory.wholePages(length), protection,
                shared, offset);
        Mapping mapping = !anonymous ? file.mmap(request) : huge ? inHugePages(request, flags) : anonymous(request);
        machine.process().addressSpace().add(mapping);
        return mapping.address();
    }

    private Mapping anonymous(OpenFile.MappingRequest request) {
        PhysicalMemory.Block block = machine.physicalMemory().allocate(request.length());
        try {
            return new Mapping(block, 0, request.length(), request.writable(), null);
        } finally {
            block.put();
        }
    }

    private Mapping inHugePages(OpenFile.MappingRequest request, int flags) {
        MemoryFile file = MemoryFile.anonymous(machine, flags, request.length());
        try {
            return file.map(request);
        } finally {
            file.put();
        }
    }

    /** Without a flag that says otherwise, the address is a wish. */
    @Override
    public long mmap(long address, long length, int protection, int flags, int fd, long offset) {
        return mmap(length, protection, flags, fd, offset);
    }

    @Override
    public int madvise(long address, long length, int advice) {
        throw new NotModelledException("madvise");
    }

    @Override
    public int munmap(long address, long length) {
        machine.process().addressSpace().unmap(address, length);
        return 0;
    }

    @Override
    public long read(int fd, MemorySegment buffer) {
        return held(fd, file -> file.read(user(buffer)));
    }

    @Override
    public long write(int fd, MemorySegment buffer) {
        return held(fd, file -> file.write(user(buffer)));
    }

    @Override
    public long pread(int fd, MemorySegment buffer, long offset) {
        return held(fd, file -> {
            Refusal.when(offset < 0, EINVAL);
            return file.pread(user(buffer), offset);
        });
    }

    @Override
    public long pwrite(int fd, MemorySegment buffer, long offset) {
        return held(fd, file -> {
            Refusal.when(offset < 0, EINVAL);
            return file.pwrite(user(buffer), offset);
        });
    }

    /** As the JDK does when it makes a call of Linux. */
    private static void requireNative(MemorySegment segment) {
        if (!segment.isNative()) {
            throw new IllegalArgumentException("Heap segment not allowed: " + segment);
        }
    }

    private OpenFile.Buffer user(MemorySegment buffer) {
        requireNative(buffer);
        return new OpenFile.Buffer(machine.userMemory(), buffer);
    }

    @Override
    public int poll(int fd, int events, int timeoutMillis) {
        if (fd < 0) {
            return await(() -> 0, timeoutMillis);
        }
        return machine.files().has(fd)
                ? (int) held(fd, file -> await(() -> ready(file, events), timeoutMillis))
                : system_h.POLLNVAL();
    }

    private static int ready(OpenFile file, int events) {
        return file.poll() & (events | system_h.POLLERR() | system_h.POLLHUP());
    }

    private int await(IntSupplier ready, int timeoutMillis) {
        long end = System.nanoTime() + timeoutMillis * 1_000_000L;
        while (true) {
            int events = ready.getAsInt();
            long left = timeoutMillis < 0 ? Long.MAX_VALUE : end - System.nanoTime();
            if (events != 0 || left <= 0) {
                return events;
            }
            machine.awaitOrInterrupt(left);
        }
    }

    @Override
    public int epollCreate(int flags) {
        return machine.files().install(new EpollFile(flags));
    }

    @Override
    public int epollControl(int epoll, int operation, int fd, int events, long data) {
        OpenFile waiting = machine.files().get(epoll);
        OpenFile file = machine.files().get(fd);
        Refusal.when(file == waiting, EINVAL);
        EpollFile.of(waiting).control(operation, fd, file, events, data);
        machine.changed();
        return 0;
    }

    @Override
    public int epollWait(int epoll, MemorySegment events, int timeoutMillis) {
        OpenFile.Buffer buffer = user(events);
        Refusal.when(buffer.size() < EPOLL_EVENT_SIZE, EINVAL);
        return (int) held(epoll, file -> {
            EpollFile waiting = EpollFile.of(file);
            return await(() -> waiting.tell(buffer), timeoutMillis);
        });
    }

    @Override
    public int connect(String path) {
        throw new NotModelledException("a Unix socket");
    }

    @Override
    public int listen(String path) {
        throw new NotModelledException("a Unix socket");
    }

    @Override
    public int accept(int fd) {
        throw new NotModelledException("a Unix socket");
    }

    @Override
    public long sendmsg(int fd, MemorySegment bytes, int[] files) {
        throw new NotModelledException("a Unix socket");
    }

    @Override
    public long recvmsg(int fd, MemorySegment bytes, int[] files) {
        throw new NotModelledException("a Unix socket");
    }

    @Override
    public int eventfd(int initialValue, int flags) {
        return machine.files().install(new EventFdFile(machine, initialValue, flags));
    }

    @Override
    public int memfd(String name, int flags) {
        return machine.files().install(MemoryFile.memfd(machine, name, flags));
    }

    @Override
    public int ftruncate(int fd, long length) {
        return (int) held(fd, file -> file.ftruncate(length));
    }

    @Override
    public long rlimit(int resource) {
        if (resource != system_h.RLIMIT_MEMLOCK()) {
            throw new NotModelledException("getrlimit of resource " + resource);
        }
        return machine.process().memlock();
    }

    @Override
    public int pageSize() {
        return (int) PhysicalMemory.PAGE;
    }

    @Override
    public int list(String path, List<String> names) {
        names.addAll(hostFiles.tree().folder(path).children().keySet());
        return 0;
    }

    @Override
    public int readlink(String path, StringBuilder target) {
        target.append(hostFiles.tree().link(path));
        return 0;
    }

    @Override
    public long deviceNumber(String path) {
        return hostFiles.tree().find(path, true).node() instanceof FileTree.DeviceNode node
                ? (long) node.major() << 32 | node.minor()
                : 0;
    }

    @Override
    public int threadId() {
        return Machine.threadId();
    }

    @Override
    public int interrupt(int threadId) {
        machine.interrupt(threadId);
        return 0;
    }

    @Override
    public int interrupt(int threadId, int signal) {
        if (signal < FIRST_REAL_TIME_SIGNAL || signal > LAST_SIGNAL) {
            throw new NotModelledException("a signal that is not a real-time one");
        }
        return interrupt(threadId);
    }

    @Override
    public int fstat(int fd, MemorySegment status) {
        throw new NotModelledException("statx of an open file");
    }

    @Override
    public int stat(String path, MemorySegment status) {
        requireNative(status);
        hostFiles.status(path).writeTo(status);
        return 0;
    }

    @Override
    public int access(String path) {
        return hostFiles.access(path);
    }

    /** Keeps a file open during a call, as another thread may close its number meanwhile. */
    private long held(int fd, ToLongFunction<OpenFile> body) {
        OpenFile file = machine.files().get(fd);
        file.get();
        try {
            return body.applyAsLong(file);
        } finally {
            file.put();
        }
    }
}
