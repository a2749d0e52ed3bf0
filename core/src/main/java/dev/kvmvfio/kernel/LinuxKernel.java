package dev.kvmvfio.kernel;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.kvmvfio.bindings.system.aarch64.system_aarch64_h;
import dev.kvmvfio.bindings.system.pollfd;
import dev.kvmvfio.bindings.system.rlimit64;
import dev.kvmvfio.bindings.system.sockaddr_un;
import dev.kvmvfio.bindings.system.statx;
import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.bindings.system.x86_64.system_x86_64_h;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.ref.Reference;
import java.nio.file.AccessDeniedException;
import java.nio.file.AccessMode;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.NotLinkException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Linux through libc's functions. Each function's handle is linked on its first use, because linking costs
 * milliseconds and most programs need few of them.
 */
final class LinuxKernel implements Kernel {
    private static final MemoryLayout ERRNO = Linker.Option.captureStateLayout();
    private static final long ERRNO_OFFSET = ERRNO.byteOffset(MemoryLayout.PathElement.groupElement("errno"));

    /** A successful call leaves the old value here, so it is read only after a failure. */
    private static final ThreadLocal<MemorySegment> STATE = ThreadLocal
            .withInitial(() -> Arena.ofAuto().allocate(ERRNO));

    private static final boolean IS_X86_64 = System.getProperty("os.arch").equals("amd64");

    private LinuxKernel() {
    }

    private static final LinuxKernel INSTANCE = new LinuxKernel();

    static LinuxKernel instance() {
        requireLinux();
        requireNativeAccess();
        return INSTANCE;
    }

    /** Those whose ioctl numbers and structs the tier abi compares with the kernel's headers, by the JDK's names. */
    private static final List<String> ARCHITECTURES = List.of("amd64", "aarch64", "riscv64", "loongarch64");

    private static void requireLinux() {
        requireLinux(System.getProperty("os.name"), System.getProperty("os.arch"));
    }

    /** Elsewhere the same ioctl has another number, as on powerpc and mips, or a struct another layout. */
    static void requireLinux(String os, String architecture) {
        if (!os.equals("Linux") || !ARCHITECTURES.contains(architecture)) {
            throw new UnsupportedOperationException("This library knows the ioctls of Linux on "
                    + String.join(", ", ARCHITECTURES) + "; this is " + os + " on " + architecture
                    + ". Tests can use dev.kvmvfio.mock.MockKernel here");
        }
    }

    /** Refuses before anything is linked: in the initializer of a class, the error would be hard to read. */
    @SuppressWarnings("restricted") // that is the question
    private static void requireNativeAccess() {
        try {
            MemorySegment.NULL.reinterpret(0);
        } catch (IllegalCallerException denied) {
            Module module = LinuxKernel.class.getModule();
            throw new IllegalCallerException(
                    "The Java runtime keeps this library from calling the kernel: start it with "
                            + "--enable-native-access=" + (module.isNamed() ? module.getName() : "ALL-UNNAMED"),
                    denied);
        }
    }

    @SuppressWarnings("restricted") // the descriptors below are libc's prototypes
    private static MethodHandle link(String function, int fixedArguments, ValueLayout result,
            ValueLayout... arguments) {
        Linker linker = Linker.nativeLinker();
        MemorySegment address = linker.defaultLookup().find(function).orElseThrow(
                () -> new UnsupportedOperationException("libc has no " + function));
        FunctionDescriptor descriptor = FunctionDescriptor.of(result, arguments);
        Linker.Option errno = Linker.Option.captureCallState("errno");
        return fixedArguments < arguments.length
                ? linker.downcallHandle(address, descriptor, errno, Linker.Option.firstVariadicArg(fixedArguments))
                : linker.downcallHandle(address, descriptor, errno);
    }

    private static int errno(MemorySegment state) {
        return state.get(JAVA_INT, ERRNO_OFFSET);
    }

    private static RuntimeException unexpected(Throwable thrown) {
        return switch (thrown) {
            case RuntimeException unchecked -> unchecked;
            case Error error -> throw error;
            default -> throw new AssertionError(thrown);
        };
    }

    private static final class Ioctl {
        static final MethodHandle HANDLE = link("ioctl", 2, JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS);
    }

    @Override
    public int ioctl(int fd, long request, MemorySegment argument) {
        MemorySegment state = STATE.get();
        try {
            int result = (int) Ioctl.HANDLE.invokeExact(state, fd, request, argument);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Open {
        static final MethodHandle HANDLE = link("open", 2, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT);
    }

    @Override
    public int open(String path, int flags) {
        MemorySegment state = STATE.get();
        try (Arena arena = Arena.ofConfined()) {
            int result = (int) Open.HANDLE.invokeExact(state, arena.allocateFrom(path), flags, 0);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Close {
        static final MethodHandle HANDLE = link("close", 1, JAVA_INT, JAVA_INT);
    }

    @Override
    public int close(int fd) {
        MemorySegment state = STATE.get();
        try {
            int result = (int) Close.HANDLE.invokeExact(state, fd);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Fcntl {
        static final MethodHandle HANDLE = link("fcntl", 2, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT);
    }

    @Override
    public int dup(int fd) {
        MemorySegment state = STATE.get();
        try {
            int result = (int) Fcntl.HANDLE.invokeExact(state, fd, system_h.F_DUPFD_CLOEXEC(), 0);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Mmap {
        static final MethodHandle HANDLE = link("mmap", 6, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT,
                JAVA_INT, JAVA_LONG);
    }

    @Override
    public long mmap(long length, int protection, int flags, int fd, long offset) {
        return mmap(0, length, protection, flags, fd, offset);
    }

    @Override
    public long mmap(long address, long length, int protection, int flags, int fd, long offset) {
        MemorySegment state = STATE.get();
        try {
            long result = (long) Mmap.HANDLE.invokeExact(state, address, length, protection, flags, fd, offset);
            return result == -1 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Madvise {
        static final MethodHandle HANDLE = link("madvise", 3, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT);
    }

    @Override
    public int madvise(long address, long length, int advice) {
        MemorySegment state = STATE.get();
        try {
            int result = (int) Madvise.HANDLE.invokeExact(state, address, length, advice);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Munmap {
        static final MethodHandle HANDLE = link("munmap", 2, JAVA_INT, JAVA_LONG, JAVA_LONG);
    }

    @Override
    public int munmap(long address, long length) {
        MemorySegment state = STATE.get();
        try {
            int result = (int) Munmap.HANDLE.invokeExact(state, address, length);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Read {
        static final MethodHandle HANDLE = link("read", 3, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG);
    }

    @Override
    public long read(int fd, MemorySegment buffer) {
        MemorySegment state = STATE.get();
        try {
            long result = (long) Read.HANDLE.invokeExact(state, fd, buffer, buffer.byteSize());
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Write {
        static final MethodHandle HANDLE = link("write", 3, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG);
    }

    @Override
    public long write(int fd, MemorySegment buffer) {
        MemorySegment state = STATE.get();
        try {
            long result = (long) Write.HANDLE.invokeExact(state, fd, buffer, buffer.byteSize());
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Pread {
        static final MethodHandle HANDLE = link("pread", 4, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    }

    @Override
    public long pread(int fd, MemorySegment buffer, long offset) {
        MemorySegment state = STATE.get();
        try {
            long result = (long) Pread.HANDLE.invokeExact(state, fd, buffer, buffer.byteSize(), offset);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Pwrite {
        static final MethodHandle HANDLE = link("pwrite", 4, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    }

    @Override
    public long pwrite(int fd, MemorySegment buffer, long offset) {
        MemorySegment state = STATE.get();
        try {
            long result = (long) Pwrite.HANDLE.invokeExact(state, fd, buffer, buffer.byteSize(), offset);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Poll {
        static final MethodHandle HANDLE = link("poll", 3, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
        static final ThreadLocal<MemorySegment> REQUEST = ThreadLocal
                .withInitial(() -> Arena.ofAuto().allocate(pollfd.layout()));
    }

    @Override
    public int poll(int fd, int events, int timeoutMillis) {
        MemorySegment state = STATE.get();
        MemorySegment request = Poll.REQUEST.get();
        pollfd.fd(request, fd);
        pollfd.events(request, (short) events);
        try {
            int result = (int) Poll.HANDLE.invokeExact(state, request, 1L, timeoutMillis);
            return result < 0 ? -errno(state) : Short.toUnsignedInt(pollfd.revents(request));
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class EpollCreate {
        static final MethodHandle HANDLE = link("epoll_create1", 1, JAVA_INT, JAVA_INT);
    }

    @Override
    public int epollCreate(int flags) {
        MemorySegment state = STATE.get();
        try {
            int result = (int) EpollCreate.HANDLE.invokeExact(state, flags);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class EpollControl {
        static final MethodHandle HANDLE = link("epoll_ctl", 4, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS);
    }

    @Override
    public int epollControl(int epoll, int operation, int fd, int events, long data) {
        MemorySegment state = STATE.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment event = arena.allocate(EPOLL_EVENT_SIZE, Long.BYTES);
            event.set(JAVA_INT, 0, events);
            event.set(EpollEvent.DATA, EpollEvent.DATA_OFFSET, data);
            int result = (int) EpollControl.HANDLE.invokeExact(state, epoll, operation, fd, event);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    /** The kernel's {@code struct epoll_event}, which has no gap before its data on x86-64. */
    private static final class EpollEvent {
        static final ValueLayout.OfLong DATA = ValueLayout.JAVA_LONG_UNALIGNED;
        static final long DATA_OFFSET = IS_X86_64 ? Integer.BYTES : Long.BYTES;
        static final long SIZE = DATA_OFFSET + Long.BYTES;

        /** Moves them apart, the last one first, so that each has the size that the seam promises. */
        static void spread(MemorySegment events, int count) {
            for (int i = count - 1; i >= 0; i--) {
                int bits = events.get(ValueLayout.JAVA_INT_UNALIGNED, i * SIZE);
                long data = events.get(DATA, i * SIZE + DATA_OFFSET);
                events.set(ValueLayout.JAVA_INT_UNALIGNED, (long) i * EPOLL_EVENT_SIZE, bits);
                events.set(DATA, (long) i * EPOLL_EVENT_SIZE + Long.BYTES, data);
            }
        }
    }

    private static final class EpollWait {
        static final MethodHandle HANDLE = link("epoll_wait", 4, JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT);
    }

    @Override
    public int epollWait(int epoll, MemorySegment events, int timeoutMillis) {
        MemorySegment state = STATE.get();
        int most = (int) Math.min(events.byteSize() / EPOLL_EVENT_SIZE, Integer.MAX_VALUE);
        try {
            int result = (int) EpollWait.HANDLE.invokeExact(state, epoll, events, most, timeoutMillis);
            if (result < 0) {
                return -errno(state);
            }
            EpollEvent.spread(events, result);
            return result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Socket {
        static final MethodHandle HANDLE = link("socket", 3, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT);
    }

    private static int socket() {
        MemorySegment state = STATE.get();
        try {
            int result = (int) Socket.HANDLE.invokeExact(state, UnixSocket.AF_UNIX, UnixSocket.STREAM_CLOEXEC, 0);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Connect {
        static final MethodHandle HANDLE = link("connect", 3, JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    }

    @Override
    public int connect(String path) {
        return named(path, (socket, address) -> {
            MemorySegment state = STATE.get();
            int result = (int) Connect.HANDLE.invokeExact(state, socket, address, (int) address.byteSize());
            return result < 0 ? -errno(state) : result;
        });
    }

    private static final class Bind {
        static final MethodHandle HANDLE = link("bind", 3, JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    }

    private static final class Listen {
        static final MethodHandle HANDLE = link("listen", 2, JAVA_INT, JAVA_INT, JAVA_INT);
    }

    @Override
    public int listen(String path) {
        return named(path, (socket, address) -> {
            MemorySegment state = STATE.get();
            int result = (int) Bind.HANDLE.invokeExact(state, socket, address, (int) address.byteSize());
            if (result == 0) {
                result = (int) Listen.HANDLE.invokeExact(state, socket, UnixSocket.BACKLOG);
            }
            return result < 0 ? -errno(state) : result;
        });
    }

    /** What gives a new socket its name or its peer. */
    private interface Naming {
        int apply(int socket, MemorySegment address) throws Throwable;
    }

    /** A socket with a name or a peer, or none. */
    private int named(String path, Naming naming) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = UnixSocket.address(arena, path);
            if (address.byteSize() > sockaddr_un.sizeof()) {
                return -system_h.ENAMETOOLONG();
            }
            int socket = socket();
            int result = socket < 0 ? socket : naming.apply(socket, address);
            if (socket >= 0 && result < 0) {
                close(socket);
            }
            return result < 0 ? result : socket;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Accept {
        static final MethodHandle HANDLE = link("accept4", 4, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT);
    }

    @Override
    public int accept(int fd) {
        MemorySegment state = STATE.get();
        try {
            int result = (int) Accept.HANDLE.invokeExact(state, fd, MemorySegment.NULL, MemorySegment.NULL,
                    system_h.O_CLOEXEC());
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Sendmsg {
        static final MethodHandle HANDLE = link("sendmsg", 3, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
    }

    @Override
    public long sendmsg(int fd, MemorySegment bytes, int[] files) {
        MemorySegment state = STATE.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment message = UnixSocket.Message.of(arena, bytes, files).header();
            long result = (long) Sendmsg.HANDLE.invokeExact(state, fd, message, UnixSocket.MSG_NOSIGNAL);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        } finally {
            Reference.reachabilityFence(bytes);
        }
    }

    private static final class Recvmsg {
        static final MethodHandle HANDLE = link("recvmsg", 3, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
    }

    @Override
    public long recvmsg(int fd, MemorySegment bytes, int[] files) {
        MemorySegment state = STATE.get();
        try (Arena arena = Arena.ofConfined()) {
            UnixSocket.Message message = UnixSocket.Message.of(arena, bytes, files);
            long result = (long) Recvmsg.HANDLE.invokeExact(state, fd, message.header(), UnixSocket.MSG_CMSG_CLOEXEC);
            if (result < 0) {
                return -errno(state);
            }
            message.takeFiles(files);
            return result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        } finally {
            Reference.reachabilityFence(bytes);
        }
    }

    private static final class EventFdCall {
        static final MethodHandle HANDLE = link("eventfd", 2, JAVA_INT, JAVA_INT, JAVA_INT);
    }

    @Override
    public int eventfd(int initialValue, int flags) {
        MemorySegment state = STATE.get();
        try {
            int result = (int) EventFdCall.HANDLE.invokeExact(state, initialValue, flags);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class MemfdCreate {
        static final MethodHandle HANDLE = link("memfd_create", 2, JAVA_INT, ADDRESS, JAVA_INT);
    }

    @Override
    public int memfd(String name, int flags) {
        MemorySegment state = STATE.get();
        try (Arena arena = Arena.ofConfined()) {
            int result = (int) MemfdCreate.HANDLE.invokeExact(state, arena.allocateFrom(name), flags);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Ftruncate {
        static final MethodHandle HANDLE = link("ftruncate", 2, JAVA_INT, JAVA_INT, JAVA_LONG);
    }

    @Override
    public int ftruncate(int fd, long length) {
        MemorySegment state = STATE.get();
        try {
            int result = (int) Ftruncate.HANDLE.invokeExact(state, fd, length);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Getrlimit {
        static final MethodHandle HANDLE = link("getrlimit", 2, JAVA_INT, JAVA_INT, ADDRESS);
    }

    @Override
    public long rlimit(int resource) {
        MemorySegment state = STATE.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment limit = rlimit64.allocate(arena);
            int result = (int) Getrlimit.HANDLE.invokeExact(state, resource, limit);
            if (result < 0) {
                return -errno(state);
            }
            long soft = rlimit64.rlim_cur(limit);
            return soft < 0 ? Long.MAX_VALUE : soft;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    /** What glibc before 2.30, or musl, has no function for. All but x86-64 have the numbers of aarch64. */
    private static final class SystemCallNumber {
        static final long GETTID = IS_X86_64 ? system_x86_64_h.__NR_gettid() : system_aarch64_h.__NR_gettid();
        static final long TGKILL = IS_X86_64 ? system_x86_64_h.__NR_tgkill() : system_aarch64_h.__NR_tgkill();
        static final long STATX = IS_X86_64 ? system_x86_64_h.__NR_statx() : system_aarch64_h.__NR_statx();
    }

    private static final class Gettid {
        static final MethodHandle HANDLE = link("syscall", 1, JAVA_LONG, JAVA_LONG);
    }

    @Override
    public int threadId() {
        try {
            return (int) (long) Gettid.HANDLE.invokeExact(STATE.get(), SystemCallNumber.GETTID);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class Tgkill {
        static final MethodHandle HANDLE = link("syscall", 1, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT);
        static final int PROCESS = (int) ProcessHandle.current().pid();
    }

    @Override
    public int interrupt(int threadId) {
        return interrupt(threadId, WakeUp.DEFAULT_SIGNAL);
    }

    @Override
    public int interrupt(int threadId, int signal) {
        int result = WakeUp.install(signal);
        return result < 0 ? result : tgkill(threadId, signal);
    }

    private static int tgkill(int threadId, int signal) {
        MemorySegment state = STATE.get();
        try {
            long result = (long) Tgkill.HANDLE.invokeExact(state, SystemCallNumber.TGKILL, Tgkill.PROCESS, threadId,
                    signal);
            return result < 0 ? -errno(state) : 0;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    /** The handlers of signals that wake threads up. */
    private static final class WakeUp {
        private static final MethodHandle SIGACTION = link("sigaction", 3, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
        private static final MethodHandle SIGNAL = link("signal", 2, JAVA_LONG, JAVA_INT, JAVA_LONG);
        /** More than any libc's {@code struct sigaction}, which begins with the handler. */
        private static final long SIGACTION_SIZE = 256;
        /** What is no handler: {@code SIG_DFL} and {@code SIG_IGN}. */
        private static final long SIG_IGN = 1;
        /**
         * {@code abs(3)} as the handler: it takes an int, as handlers do, touches nothing, and may run at any moment on any
         * stack.
         */
        private static final long NOTHING = Linker.nativeLinker().defaultLookup().find("abs").orElseThrow().address();
        /** The one that was chosen, or the first real-time signal that libc leaves to programs; the JDK uses none near it. */
        static final int DEFAULT_SIGNAL = Integer.getInteger("dev.kvmvfio.signal", firstRealTimeSignal());
        private static final Map<Integer, Integer> INSTALLED = new ConcurrentHashMap<>();

        private static int firstRealTimeSignal() {
            try {
                return (int) link("__libc_current_sigrtmin", 0, JAVA_INT).invokeExact(STATE.get());
            } catch (Throwable thrown) {
                throw unexpected(thrown);
            }
        }

        /** Once for each signal: whoever sets a handler later takes the signal from this library. */
        static int install(int signal) {
            return INSTALLED.computeIfAbsent(signal, WakeUp::tryInstall);
        }

        /** Asks first: {@code signal(2)} could not give a handler of {@code sigaction(2)} back as it was. */
        private static int tryInstall(int signal) {
            MemorySegment state = STATE.get();
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment action = arena.allocate(SIGACTION_SIZE, Long.BYTES);
                if ((int) SIGACTION.invokeExact(state, signal, MemorySegment.NULL, action) < 0) {
                    return -errno(state);
                }
                long handler = action.get(JAVA_LONG, 0);
                if (handler != NOTHING && (handler < 0 || handler > SIG_IGN)) {
                    return -system_h.EBUSY();
                }
                return (long) SIGNAL.invokeExact(state, signal, NOTHING) == -1 ? -errno(state) : 0;
            } catch (Throwable thrown) {
                throw unexpected(thrown);
            }
        }
    }

    private static final class Statx {
        static final MethodHandle HANDLE = link("syscall", 1, JAVA_LONG, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT,
                JAVA_INT,
                ADDRESS);
        static final MemorySegment NO_PATH = Arena.global().allocateFrom("");
    }

    @Override
    public int fstat(int fd, MemorySegment status) {
        return statx(fd, Statx.NO_PATH, system_h.AT_EMPTY_PATH(), status);
    }

    @Override
    public int stat(String path, MemorySegment status) {
        try (Arena arena = Arena.ofConfined()) {
            return statx(-1, arena.allocateFrom(path), 0, status);
        }
    }

    private static int statx(int fd, MemorySegment path, int flags, MemorySegment status) {
        if (status.byteSize() < statx.sizeof()) {
            throw new IllegalArgumentException(
                    "statx writes " + statx.sizeof() + " bytes, and this segment has " + status.byteSize());
        }
        MemorySegment state = STATE.get();
        try {
            long result = (long) Statx.HANDLE.invokeExact(state, SystemCallNumber.STATX, fd, path, flags,
                    system_h.STATX_BASIC_STATS(), status);
            return result < 0 ? -errno(state) : 0;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static final class PageSize {
        static final int BYTES = bytes();

        private static int bytes() {
            MethodHandle handle = link("getpagesize", 0, JAVA_INT);
            try {
                return (int) handle.invokeExact(STATE.get());
            } catch (Throwable thrown) {
                throw unexpected(thrown);
            }
        }
    }

    @Override
    public int pageSize() {
        return PageSize.BYTES;
    }

    @Override
    public int list(String path, List<String> names) {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(Path.of(path))) {
            entries.forEach(entry -> names.add(entry.getFileName().toString()));
            return 0;
        } catch (IOException | DirectoryIteratorException failure) {
            return isOther(failure) ? openFails(path) : -errnoOf(failure);
        }
    }

    private static boolean isOther(Exception failure) {
        return errnoOf(failure) == system_h.EIO();
    }

    /** The errno that the JDK does not tell: too many files are open, for example. */
    private int openFails(String path) {
        int fd = open(path, system_h.O_RDONLY() | system_h.O_CLOEXEC());
        if (fd >= 0) {
            close(fd);
        }
        return fd < 0 ? fd : -system_h.EIO();
    }

    /**
     * The JDK's own calls spare a program that only looks around the linking of ours, which takes a hundred milliseconds,
     * but they do not tell every errno: what they cannot read is read again.
     */
    @Override
    public int readFile(String path, ByteArrayOutputStream content) {
        try {
            content.writeBytes(Files.readAllBytes(Path.of(path)));
            return 0;
        } catch (NoSuchFileException missing) {
            return -errnoOf(missing);
        } catch (IOException failure) {
            return Kernel.super.readFile(path, content);
        }
    }

    @Override
    public int readlink(String path, StringBuilder target) {
        try {
            target.append(Files.readSymbolicLink(Path.of(path)));
            return 0;
        } catch (IOException failure) {
            return -errnoOf(failure);
        }
    }

    @Override
    public long deviceNumber(String path) {
        try {
            // The JDK answers in Linux's own packing of st_rdev.
            long packed = ((Number) Files.getAttribute(Path.of(path), "unix:rdev")).longValue();
            long major = packed >>> 8 & 0xfff | packed >>> 32 & ~0xfffL;
            long minor = packed & 0xff | packed >>> 12 & ~0xffL;
            return major << 32 | minor & 0xffff_ffffL;
        } catch (IOException failure) {
            return -errnoOf(failure);
        }
    }

    private static final class Access {
        /** POSIX's {@code R_OK | W_OK}, which are in no header of the kernel. */
        static final int READ_AND_WRITE = 4 | 2;
        static final MethodHandle HANDLE = link("access", 2, JAVA_INT, ADDRESS, JAVA_INT);
    }

    /** As with {@link #readFile}. */
    @Override
    public int access(String path) {
        Path file = Path.of(path);
        try {
            file.getFileSystem().provider().checkAccess(file, AccessMode.READ, AccessMode.WRITE);
            return 0;
        } catch (NoSuchFileException missing) {
            // The JDK says so of what is below a file, too.
            Path folder = file.getParent();
            return folder != null && Files.isDirectory(folder) ? -errnoOf(missing) : refusedAccess(path);
        } catch (IOException failure) {
            return refusedAccess(path);
        }
    }

    private static int refusedAccess(String path) {
        MemorySegment state = STATE.get();
        try (Arena arena = Arena.ofConfined()) {
            int result = (int) Access.HANDLE.invokeExact(state, arena.allocateFrom(path), Access.READ_AND_WRITE);
            return result < 0 ? -errno(state) : result;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    /** Not a switch over types, which takes tens of milliseconds the first time. */
    private static int errnoOf(Exception failure) {
        if (failure instanceof NoSuchFileException) {
            return system_h.ENOENT();
        }
        if (failure instanceof AccessDeniedException) {
            return system_h.EACCES();
        }
        if (failure instanceof NotDirectoryException) {
            return system_h.ENOTDIR();
        }
        return failure instanceof NotLinkException ? system_h.EINVAL() : system_h.EIO();
    }
}
