package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.internal.Failures;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Lifecycle.Made;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A kernel in front of another one that sees each call, decoded. The simplest one tells of them:
 *
 * <pre>{@code
 * Kernel observed = ObservedKernel.observe(Kernel.linux(), System.err::println);
 * try (Kvm kvm = Kvm.open(observed); Vm vm = kvm.createVm()) {
 *     KvmVfioDevice.create(vm);
 * }
 * }</pre>
 *
 * <p>A subclass may do more: refuse a call, delay it, count it.
 *
 * <p>It knows a file by how it was opened here, so files from elsewhere have a number only.
 *
 * <p><b>Thread-safety:</b> calls may be made from any thread, and are observed in the thread that makes them.
 */
public abstract class ObservedKernel implements Kernel {
    private final Kernel kernel;
    private final Map<Integer, OpenFile> files = new ConcurrentHashMap<>();

    private record OpenFile(FileKind kind, String name) {
    }

    /**
     * Puts itself in front of a kernel.
     *
     * @param kernel which answers the calls
     */
    protected ObservedKernel(Kernel kernel) {
        this.kernel = kernel;
    }

    /**
     * Observes a kernel.
     *
     * @param kernel which answers the calls
     * @param observer told of each call when it has returned, on the thread that made it; what it throws goes to that
     *        thread's handler of uncaught exceptions and changes nothing about the call
     * @return a kernel that answers the same
     */
    public static Kernel observe(Kernel kernel, Consumer<? super SystemCall> observer) {
        return new ObservedKernel(kernel) {
            @Override
            protected long call(SystemCall call, LongSupplier made) {
                long result = made.getAsLong();
                tell(call.returned(result));
                return result;
            }

            private void tell(SystemCall call) {
                try {
                    observer.accept(call);
                } catch (Throwable failure) {
                    Failures.report(failure);
                }
            }
        };
    }

    /**
     * Memory of this process by its address, for a subclass that answers a call itself: structs hold addresses of more.
     * It needs native access for the module of this class, and for that of the subclass none.
     *
     * @param address of the first byte; nothing looks whether there is memory, and an access where there is none ends the
     *        Java machine
     * @param size in bytes
     * @return a segment that any thread may use and that is never closed
     */
    @SuppressWarnings("restricted") // the caller answers for the address
    protected static MemorySegment memoryAt(long address, long size) {
        return MemorySegment.ofAddress(address).reinterpret(size);
    }

    /**
     * The names that {@link SystemCall#name()} has for ioctls, of files of every kind; for a subclass that is told what to
     * look for.
     *
     * @return a new set, sorted
     */
    protected static Set<String> ioctlNames() {
        return Stream.concat(Stream.of(SystemCall.FILE_ADD, SystemCall.FILE_DEL),
                Stream.of(FileKind.values()).flatMap(kind -> kind.ioctls().names()))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /** Refuses two things of two kernels; two observers of one kernel are that kernel. */
    static void requireSame(Object user, Kernel kernel, Object used, Kernel other) {
        if (behindObservers(kernel) != behindObservers(other)) {
            throw new IllegalArgumentException(used + " is of another kernel than " + user);
        }
    }

    private static Kernel behindObservers(Kernel kernel) {
        Kernel behind = kernel;
        while (behind instanceof ObservedKernel observer) {
            behind = observer.kernel;
        }
        return behind;
    }

    /**
     * Makes a call, or answers in its place. What it throws comes out of the call, and what Linux did before that counts:
     * what it has made is given back, and what it has taken back is not asked for again.
     *
     * @param call what is called; {@link SystemCall#returned} adds how it ended
     * @param made makes the call and returns its result
     * @return what the program shall get: zero or more, or a negative errno
     */
    protected abstract long call(SystemCall call, LongSupplier made);

    private long call(String operation, String file, Supplier<String> arguments, LongSupplier made) {
        return observe(SystemCall.of(operation, file, arguments), made);
    }

    /** Whatever the observer does within the call, it waits for nobody. */
    private long observe(SystemCall call, LongSupplier made) {
        Lifecycle.enterCall();
        Remembered remembered = new Remembered(made);
        try {
            return call(call, remembered);
        } catch (Throwable thrown) {
            remembered.threw();
            throw thrown;
        } finally {
            Lifecycle.leaveCall();
        }
    }

    /** The call of the kernel behind, and what became of it: the observer may throw before it and after it. */
    private static final class Remembered implements LongSupplier {
        private final LongSupplier call;
        private final int thrownBefore = Lifecycle.thrownCalls();
        private Made made = Made.NOTHING;

        Remembered(LongSupplier call) {
            this.call = call;
        }

        @Override
        public long getAsLong() {
            made = made == Made.NOTHING ? Made.MAYBE : made;
            long result = call.getAsLong();
            made = result < 0 && made == Made.MAYBE ? Made.NOTHING : Made.DONE;
            return result;
        }

        /** An observer behind this one, out of which it came, has told already. */
        void threw() {
            if (made != Made.MAYBE || thrownBefore == Lifecycle.thrownCalls()) {
                Lifecycle.callThrew(made);
            }
        }
    }

    private String name(int fd) {
        OpenFile file = files.get(fd);
        return file == null ? Integer.toString(fd) : fd + "<" + file.name() + ">";
    }

    private static String quoted(String path) {
        return '"' + path + '"';
    }

    @Override
    public final int open(String path, int flags) {
        int fd = (int) call("open", quoted(path), () -> String.format("0x%x", flags), () -> kernel.open(path, flags));
        return opened(fd, new OpenFile(FileKind.ofPath(path), path));
    }

    private int opened(int fd, OpenFile file) {
        if (fd >= 0) {
            files.put(fd, file);
        }
        return fd;
    }

    @Override
    public final int close(int fd) {
        String name = name(fd);
        // First, because the number may be another file's as soon as the call has returned.
        files.remove(fd);
        return (int) call("close", name, () -> "", () -> kernel.close(fd));
    }

    @Override
    public final int dup(int fd) {
        OpenFile file = files.get(fd);
        int copy = (int) call("dup", name(fd), () -> "", () -> kernel.dup(fd));
        return file == null ? copy : opened(copy, file);
    }

    @Override
    public final int ioctl(int fd, long request, MemorySegment argument) {
        OpenFile file = files.get(fd);
        FileKind kind = file == null ? FileKind.OTHER : file.kind();
        SystemCall call = SystemCall.ioctl(kind, name(fd), request, argument, this::name);
        int result = (int) observe(call, () -> kernel.ioctl(fd, request, argument));
        if (result >= 0) {
            findOpened(call.name(), argument, result);
        }
        return result;
    }

    /** Some ioctls open files. */
    private void findOpened(String ioctl, MemorySegment argument, int result) {
        switch (ioctl) {
            case "KVM_CREATE_VM" -> opened(result, new OpenFile(FileKind.VM, "VM"));
            case "KVM_CREATE_VCPU" -> opened(result, new OpenFile(FileKind.VCPU, "vCPU " + argument.address()));
            case "KVM_CREATE_DEVICE" -> findKvmDevice(argument);
            case "KVM_CREATE_GUEST_MEMFD" -> opened(result, new OpenFile(FileKind.OTHER, "guest memory"));
            case "VFIO_GROUP_GET_DEVICE_FD" -> opened(result, new OpenFile(FileKind.VFIO_DEVICE,
                    argument.byteSize() == 0 ? "VFIO device" : SystemCall.text(argument)));
            default -> {
            }
        }
    }

    private void findKvmDevice(MemorySegment argument) {
        MemorySegment request = SystemCall.copy(kvm_create_device.layout(), argument);
        if (request != null && (kvm_create_device.flags(request) & kvm_h.KVM_CREATE_DEVICE_TEST()) == 0) {
            int type = kvm_create_device.type(request);
            String name = "KVM device " + (type == kvm_h.KVM_DEV_TYPE_VFIO() ? "VFIO" : "of type " + type);
            opened(kvm_create_device.fd(request), new OpenFile(FileKind.KVM_DEVICE, name));
        }
    }

    @Override
    public final long mmap(long length, int protection, int flags, int fd, long offset) {
        return call("mmap", fd < 0 ? "" : name(fd), () -> String
                .format("length=0x%x, protection=%d, flags=0x%x, offset=0x%x", length, protection, flags, offset),
                () -> kernel.mmap(length, protection, flags, fd, offset));
    }

    @Override
    public final long mmap(long address, long length, int protection, int flags, int fd, long offset) {
        return call("mmap", fd < 0 ? "" : name(fd),
                () -> String.format("address=0x%x, length=0x%x, protection=%d, flags=0x%x, offset=0x%x", address,
                        length,
                        protection, flags, offset),
                () -> kernel.mmap(address, length, protection, flags, fd, offset));
    }

    @Override
    public final int madvise(long address, long length, int advice) {
        return (int) call("madvise", "",
                () -> String.format("address=0x%x, length=0x%x, advice=%d", address, length, advice),
                () -> kernel.madvise(address, length, advice));
    }

    @Override
    public final int munmap(long address, long length) {
        return (int) call("munmap", "", () -> String.format("address=0x%x, length=0x%x", address, length),
                () -> kernel.munmap(address, length));
    }

    @Override
    public final long read(int fd, MemorySegment buffer) {
        return call("read", name(fd), () -> bytes(buffer), () -> kernel.read(fd, buffer));
    }

    @Override
    public final long write(int fd, MemorySegment buffer) {
        return call("write", name(fd), () -> bytes(buffer), () -> kernel.write(fd, buffer));
    }

    @Override
    public final long pread(int fd, MemorySegment buffer, long offset) {
        return call("pread", name(fd), () -> bytes(buffer, offset), () -> kernel.pread(fd, buffer, offset));
    }

    @Override
    public final long pwrite(int fd, MemorySegment buffer, long offset) {
        return call("pwrite", name(fd), () -> bytes(buffer, offset), () -> kernel.pwrite(fd, buffer, offset));
    }

    private static String bytes(MemorySegment buffer) {
        return "bytes=" + buffer.byteSize();
    }

    private static String bytes(MemorySegment buffer, long offset) {
        return String.format("bytes=%d, offset=0x%x", buffer.byteSize(), offset);
    }

    @Override
    public final int poll(int fd, int events, int timeoutMillis) {
        return (int) call("poll", fd < 0 ? "" : name(fd),
                () -> String.format("events=0x%x, timeout=%d ms", events, timeoutMillis),
                () -> kernel.poll(fd, events, timeoutMillis));
    }

    @Override
    public final int epollCreate(int flags) {
        int fd = (int) call("epoll_create1", "", () -> String.format("0x%x", flags), () -> kernel.epollCreate(flags));
        return opened(fd, new OpenFile(FileKind.OTHER, "epoll"));
    }

    @Override
    public final int epollControl(int epoll, int operation, int fd, int events, long data) {
        String file = name(fd);
        return (int) call("epoll_ctl", name(epoll),
                () -> String.format("operation=%d, %s, events=0x%x, data=0x%x", operation, file, events, data),
                () -> kernel.epollControl(epoll, operation, fd, events, data));
    }

    @Override
    public final int epollWait(int epoll, MemorySegment events, int timeoutMillis) {
        return (int) call("epoll_wait", name(epoll),
                () -> String.format("files=%d, timeout=%d ms", events.byteSize() / EPOLL_EVENT_SIZE, timeoutMillis),
                () -> kernel.epollWait(epoll, events, timeoutMillis));
    }

    @Override
    public final int connect(String path) {
        int fd = (int) call("connect", quoted(path), () -> "", () -> kernel.connect(path));
        return opened(fd, new OpenFile(FileKind.OTHER, "connection to " + path));
    }

    @Override
    public final int listen(String path) {
        int fd = (int) call("listen", quoted(path), () -> "", () -> kernel.listen(path));
        return opened(fd, new OpenFile(FileKind.OTHER, "socket " + path));
    }

    @Override
    public final int accept(int fd) {
        String socket = name(fd);
        int accepted = (int) call("accept4", socket, () -> "", () -> kernel.accept(fd));
        return opened(accepted, new OpenFile(FileKind.OTHER, "connection of " + socket));
    }

    @Override
    public final long sendmsg(int fd, MemorySegment bytes, int[] files) {
        List<String> names = names(files);
        return call("sendmsg", name(fd), () -> bytes(bytes) + ", files=" + names,
                () -> kernel.sendmsg(fd, bytes, files));
    }

    @Override
    public final long recvmsg(int fd, MemorySegment bytes, int[] files) {
        SystemCall call = SystemCall.of("recvmsg", name(fd), (returned, _) -> {
            List<String> received = returned ? names(files) : List.of();
            return () -> bytes(bytes) + ", files=" + received;
        });
        return observe(call, () -> kernel.recvmsg(fd, bytes, files));
    }

    private List<String> names(int[] files) {
        return Arrays.stream(files).filter(file -> file >= 0).mapToObj(this::name).toList();
    }

    @Override
    public final int eventfd(int initialValue, int flags) {
        int fd = (int) call("eventfd", "", () -> String.format("value=%d, flags=0x%x", initialValue, flags),
                () -> kernel.eventfd(initialValue, flags));
        return opened(fd, new OpenFile(FileKind.OTHER, "eventfd"));
    }

    @Override
    public final int memfd(String name, int flags) {
        int fd = (int) call("memfd_create", quoted(name), () -> String.format("0x%x", flags),
                () -> kernel.memfd(name, flags));
        return opened(fd, new OpenFile(FileKind.OTHER, name));
    }

    @Override
    public final int ftruncate(int fd, long length) {
        return (int) call("ftruncate", name(fd), () -> String.format("length=0x%x", length),
                () -> kernel.ftruncate(fd, length));
    }

    /** The limit is asked for, but no file is touched by it: it is not observed. */
    @Override
    public final long rlimit(int resource) {
        return kernel.rlimit(resource);
    }

    @Override
    public final int pageSize() {
        return kernel.pageSize();
    }

    @Override
    public final int list(String path, List<String> names) {
        return (int) call("readdir", quoted(path), () -> "", () -> kernel.list(path, names));
    }

    @Override
    public final int readlink(String path, StringBuilder target) {
        return (int) call("readlink", quoted(path), () -> "", () -> kernel.readlink(path, target));
    }

    @Override
    public final long deviceNumber(String path) {
        return call("stat", quoted(path), () -> "", () -> kernel.deviceNumber(path));
    }

    @Override
    public final int threadId() {
        return kernel.threadId();
    }

    @Override
    public final int interrupt(int threadId) {
        return (int) call("tgkill", "", () -> "thread=" + threadId, () -> kernel.interrupt(threadId));
    }

    @Override
    public final int interrupt(int threadId, int signal) {
        return (int) call("tgkill", "", () -> "thread=" + threadId + ", signal=" + signal,
                () -> kernel.interrupt(threadId, signal));
    }

    @Override
    public final int fstat(int fd, MemorySegment status) {
        return (int) call("statx", name(fd), () -> "", () -> kernel.fstat(fd, status));
    }

    @Override
    public final int stat(String path, MemorySegment status) {
        return (int) call("statx", quoted(path), () -> "", () -> kernel.stat(path, status));
    }

    @Override
    public final int access(String path) {
        return (int) call("access", quoted(path), () -> "", () -> kernel.access(path));
    }
}
