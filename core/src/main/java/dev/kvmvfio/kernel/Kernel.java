package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.internal.Interruptions;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * The one seam between this library and an operating system: the system calls that KVM, VFIO and iommufd are driven
 * with, and the few reads of the file system that say which devices there are.
 *
 * <p>Every method follows the kernel's own convention: a result of zero or more, or a negative errno
 * ({@code -Errno.EBUSY.number()}). Nothing here throws for what the kernel refuses; exceptions begin one floor above,
 * with {@link FileDescriptor} and {@link KernelException}.
 *
 * <p>{@link #linux()} is the running Linux; {@code dev.kvmvfio.mock.MockKernel} is a model of one. A program may put a
 * kernel of its own behind this interface, for example one that watches or refuses calls.
 *
 * <p>The interface grows, and a kernel that was written before must go on working: a method that came later has a default
 * which answers {@code -ENOSYS}. What needs it does without then, or throws a {@link KernelException} that names it.
 *
 * <p><b>Thread-safety:</b> an implementation must allow any call from any thread at any time, as Linux does.
 */
public interface Kernel {
    /** How many bytes {@link #epollWait} writes for each file that is ready. */
    int EPOLL_EVENT_SIZE = 16;

    /**
     * The running Linux.
     *
     * @return the one instance, which keeps no state and needs no closing
     * @throws UnsupportedOperationException on another operating system, or on another processor than x86-64, aarch64,
     *         riscv64 and loongarch64
     * @throws IllegalCallerException when the Java runtime denies native access to this library; the message has the
     *         option that grants it
     */
    static Kernel linux() {
        return LinuxKernel.instance();
    }

    /**
     * {@code open(2)}.
     *
     * @param path an absolute path
     * @param flags the {@code O_} bits
     * @return a file descriptor number or a negative errno
     */
    int open(String path, int flags);

    /**
     * {@code close(2)}.
     *
     * @param fd the file descriptor number
     * @return 0 or a negative errno
     */
    int close(int fd);

    /**
     * {@code dup(2)} with close-on-exec set.
     *
     * @param fd the file descriptor number
     * @return a new number for the same open file, or a negative errno
     */
    int dup(int fd);

    /**
     * {@code ioctl(2)} with a pointer.
     *
     * @param fd the file descriptor number
     * @param request the request number
     * @param argument native memory; {@link MemorySegment#NULL} for none
     * @return the call's result or a negative errno
     */
    int ioctl(int fd, long request, MemorySegment argument);

    /**
     * {@code ioctl(2)} with a plain number as its argument.
     *
     * @param fd the file descriptor number
     * @param request the request number
     * @param argument the number, passed as it is
     * @return the call's result or a negative errno
     */
    default int ioctl(int fd, long request, long argument) {
        return ioctl(fd, request, MemorySegment.ofAddress(argument));
    }

    /**
     * {@code mmap(2)} at an address that the kernel chooses.
     *
     * @param length in bytes
     * @param protection the {@code PROT_} bits
     * @param flags the {@code MAP_} bits
     * @param fd the file to map, or -1 with {@code MAP_ANONYMOUS}
     * @param offset into the file, in bytes
     * @return the address, or a negative errno
     */
    long mmap(long length, int protection, int flags, int fd, long offset);

    /**
     * {@code mmap(2)} at an address that the program chooses: with {@code MAP_FIXED_NOREPLACE} where nothing is, with
     * {@code MAP_FIXED} in place of what is there, which the program has reserved before. Without either, the address is
     * a wish. Linux before 4.17 takes {@code MAP_FIXED_NOREPLACE} for a wish too: compare the address.
     *
     * @param address of the first byte
     * @param length in bytes
     * @param protection the {@code PROT_} bits
     * @param flags the {@code MAP_} bits
     * @param fd the file to map, or -1 with {@code MAP_ANONYMOUS}
     * @param offset into the file, in bytes
     * @return the address, or a negative errno; {@code EEXIST} when something is there
     */
    default long mmap(long address, long length, int protection, int flags, int fd, long offset) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code madvise(2)}: how memory will be used. {@code MADV_POPULATE_WRITE} (Linux 5.14) allocates all of it now, and
     * says when there is not enough.
     *
     * @param address of the first byte, a multiple of the page size
     * @param length in bytes
     * @param advice a {@code MADV_} number
     * @return 0 or a negative errno
     */
    default int madvise(long address, long length, int advice) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code munmap(2)}.
     *
     * @param address as {@link #mmap} returned it
     * @param length in bytes
     * @return 0 or a negative errno
     */
    int munmap(long address, long length);

    /**
     * {@code read(2)} into the whole of a buffer.
     *
     * @param fd the file descriptor number
     * @param buffer native memory
     * @return the number of bytes read, or a negative errno
     */
    long read(int fd, MemorySegment buffer);

    /**
     * {@code write(2)} of the whole of a buffer.
     *
     * @param fd the file descriptor number
     * @param buffer native memory
     * @return the number of bytes written, or a negative errno
     */
    long write(int fd, MemorySegment buffer);

    /**
     * {@code pread(2)} into the whole of a buffer.
     *
     * @param fd the file descriptor number
     * @param buffer native memory
     * @param offset into the file, in bytes
     * @return the number of bytes read, or a negative errno
     */
    long pread(int fd, MemorySegment buffer, long offset);

    /**
     * {@code pwrite(2)} of the whole of a buffer.
     *
     * @param fd the file descriptor number
     * @param buffer native memory
     * @param offset into the file, in bytes
     * @return the number of bytes written, or a negative errno
     */
    long pwrite(int fd, MemorySegment buffer, long offset);

    /**
     * {@code poll(2)} of one file.
     *
     * @param fd the file descriptor number
     * @param events the {@code POLL} bits to wait for
     * @param timeoutMillis how long to wait; 0 not at all, -1 for ever
     * @return the {@code POLL} bits that are set, 0 when the time is over, or a negative errno
     */
    int poll(int fd, int events, int timeoutMillis);

    /**
     * {@code epoll_create1(2)}: a file that waits for many others.
     *
     * @param flags the {@code EPOLL_} bits
     * @return a file descriptor number or a negative errno
     */
    default int epollCreate(int flags) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code epoll_ctl(2)}: adds a file to those that are waited for, changes what of it is waited for, or removes it.
     *
     * @param epoll the number that {@link #epollCreate} returned
     * @param operation an {@code EPOLL_CTL_} number
     * @param fd the file to wait for
     * @param events the {@code EPOLL} bits to wait for
     * @param data what {@link #epollWait} tells when the file is ready
     * @return 0 or a negative errno
     */
    default int epollControl(int epoll, int operation, int fd, int events, long data) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code epoll_wait(2)}. Each file that is ready takes {@value #EPOLL_EVENT_SIZE} bytes of the buffer: its
     * {@code EPOLL} bits, an int, and its data, a long at offset 8. This is the kernel's own layout on every
     * architecture but x86-64, where it has no gap; here it is the same on all.
     *
     * @param epoll the number that {@link #epollCreate} returned
     * @param events native memory for as many files as shall be told at once
     * @param timeoutMillis how long to wait; 0 not at all, -1 for ever
     * @return how many files are ready, 0 when the time is over, or a negative errno
     */
    default int epollWait(int epoll, MemorySegment events, int timeoutMillis) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code socket(2)} and {@code connect(2)}: a connection to a Unix stream socket, close-on-exec.
     *
     * @param path the socket's absolute path, of at most 107 bytes
     * @return a file descriptor number or a negative errno; {@code ENAMETOOLONG} for a longer path
     */
    default int connect(String path) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code socket(2)}, {@code bind(2)} and {@code listen(2)}: a Unix stream socket that others can connect to,
     * close-on-exec.
     *
     * @param path the socket's absolute path, of at most 107 bytes; who may connect is what its folder's permissions and
     *        the process's umask say
     * @return a file descriptor number or a negative errno; {@code EADDRINUSE} when something of that name is there,
     *         {@code ENAMETOOLONG} for a longer path
     */
    default int listen(String path) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code accept4(2)}: waits for the next connection to a socket.
     *
     * @param fd the number that {@link #listen} returned, or that this process was given
     * @return the number of the connection, close-on-exec, or a negative errno
     */
    default int accept(int fd) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code sendmsg(2)} over a Unix socket, with open files ({@code SCM_RIGHTS}). It raises no {@code SIGPIPE}.
     *
     * @param fd the connection
     * @param bytes native memory to send, at least one byte when there are files
     * @param files the numbers of the files that the receiver shall have too, at most 253
     * @return the number of bytes sent, or a negative errno
     */
    default long sendmsg(int fd, MemorySegment bytes, int[] files) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code recvmsg(2)} over a Unix socket, with open files ({@code SCM_RIGHTS}), which are close-on-exec. The kernel
     * gives back those that there is no room for.
     *
     * @param fd the connection
     * @param bytes native memory to fill
     * @param files receives the numbers of the files, -1 where there is none
     * @return the number of bytes received, 0 at the end, or a negative errno
     */
    default long recvmsg(int fd, MemorySegment bytes, int[] files) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code eventfd(2)}.
     *
     * @param initialValue the counter's first value
     * @param flags the {@code EFD_} bits
     * @return a file descriptor number or a negative errno
     */
    int eventfd(int initialValue, int flags);

    /**
     * {@code memfd_create(2)}: a file that is memory and has no path.
     *
     * @param name what {@code /proc} shows it as
     * @param flags the {@code MFD_} bits
     * @return a file descriptor number of an empty file, or a negative errno
     */
    int memfd(String name, int flags);

    /**
     * {@code ftruncate(2)}.
     *
     * @param fd the file descriptor number
     * @param length the file's new size in bytes
     * @return 0 or a negative errno
     */
    int ftruncate(int fd, long length);

    /**
     * {@code getrlimit(2)}: the soft limit.
     *
     * @param resource an {@code RLIMIT_} number
     * @return the limit; {@link Long#MAX_VALUE} when there is none; or a negative errno
     */
    long rlimit(int resource);

    /**
     * The size of a page of memory.
     *
     * @return bytes, a power of two
     */
    int pageSize();

    /**
     * {@code readdir(3)}: the names in a folder, without {@code .} and {@code ..}, in no particular order.
     *
     * @param path an absolute path
     * @param names receives the names
     * @return 0 or a negative errno
     */
    int list(String path, List<String> names);

    /**
     * {@code readlink(2)}.
     *
     * @param path an absolute path
     * @param target receives what the link says
     * @return 0 or a negative errno
     */
    int readlink(String path, StringBuilder target);

    /**
     * {@code gettid(2)}: the number of the calling thread.
     *
     * @return the number that {@link #interrupt} takes, or a negative errno
     */
    int threadId();

    /**
     * {@code tgkill(2)}: makes a {@code KVM_RUN} or {@code poll} that a thread of this process is in return
     * {@code EINTR}. Nothing else happens to the thread: the signal's handler does nothing, and other calls, such as
     * {@code read}, go on.
     *
     * <p>In {@link #linux()} the signal is the first real-time one, {@code SIGRTMIN}. Where another library of the process
     * has a handler for that, {@code -Ddev.kvmvfio.signal=NUMBER} chooses another one for this library, such as
     * {@code 40}.
     *
     * @param threadId as {@link #threadId()} returned it on that thread
     * @return 0 or a negative errno; {@code ESRCH} when there is no such thread; {@code EBUSY} when the signal has a
     *         handler that is not this library's, {@code EINVAL} when it can have none
     */
    int interrupt(int threadId);

    /**
     * {@code tgkill(2)} with a signal that the program chooses, as {@link #interrupt(int)} otherwise.
     *
     * @param threadId as {@link #threadId()} returned it on that thread
     * @param signal the number of a signal that nothing else in this process uses
     * @return 0 or a negative errno; {@code ESRCH} when there is no such thread, {@code EBUSY} when the signal has a
     *         handler, {@code EINVAL} when it can have none
     */
    default int interrupt(int threadId, int signal) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code statx(2)} of an open file: which file it is.
     *
     * @param fd the file descriptor number
     * @param status native memory of a {@code struct statx}, of which the basic members are filled: {@code stx_mode},
     *        {@code stx_ino} with {@code stx_dev_major} and {@code stx_dev_minor}, {@code stx_rdev_major} and
     *        {@code stx_rdev_minor} of a device node, and so on
     * @return 0 or a negative errno
     * @throws IllegalArgumentException when the memory is smaller
     */
    default int fstat(int fd, MemorySegment status) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code statx(2)} of a path, through links: whose file it is, and who may use it.
     *
     * @param path an absolute path
     * @param status as with {@link #fstat}; its {@code stx_mask} says which members are filled
     * @return 0 or a negative errno
     */
    default int stat(String path, MemorySegment status) {
        return -system_h.ENOSYS();
    }

    /**
     * {@code stat(2)}: which device a node stands for.
     *
     * @param path an absolute path
     * @return {@code st_rdev} as {@code major << 32 | minor}, 0 for what is not a device node, or a negative errno
     */
    long deviceNumber(String path);

    /**
     * {@code access(2)}: whether this process may read and write a file. It says nothing of what the file's driver
     * answers when the file is opened.
     *
     * @param path an absolute path
     * @return 0 or a negative errno
     */
    int access(String path);

    /**
     * {@code open(2)}, {@code read(2)} to the end, and {@code close(2)}. An implementation may do it its own way.
     *
     * @param path an absolute path
     * @param content receives the file's bytes
     * @return 0 or a negative errno
     * @throws AnswerException when more bytes were read than there was room for
     */
    default int readFile(String path, ByteArrayOutputStream content) {
        int fd = open(path, system_h.O_RDONLY() | system_h.O_CLOEXEC());
        if (fd < 0) {
            return fd;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(1 << 12);
            long since = System.nanoTime();
            long interruptions = 0;
            long length = 1;
            while (length > 0 || Errno.EINTR.is(length) && !Interruptions.areTooMany(++interruptions, since)) {
                length = read(fd, buffer);
                if (length > buffer.byteSize()) {
                    throw new AnswerException("read", path, length + " bytes for " + buffer.byteSize());
                }
                content.writeBytes(buffer.asSlice(0, Math.max(0, length)).toArray(ValueLayout.JAVA_BYTE));
            }
            return (int) length;
        } finally {
            close(fd);
        }
    }
}
