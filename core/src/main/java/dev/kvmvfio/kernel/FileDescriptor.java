package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.internal.Failures;
import dev.kvmvfio.internal.FlightRecorder;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.List;
import java.util.function.IntUnaryOperator;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;

/**
 * A file descriptor that is owned: closed once, and never used after that. The kernel gives a closed number to the next
 * file that is opened, so every call counts itself in and out; a close waits for no one, but the number goes back to
 * the kernel only when the last call that uses it has returned.
 *
 * <p>Calls answer in the kernel's convention, a result or a negative errno.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread; {@link #close()} may race with any of them.
 */
public final class FileDescriptor implements AutoCloseable {
    private static final int CLOSED = 1 << 31;
    /** Of a closed one: close(2) has begun. */
    private static final int GIVEN = 1 << 30;
    private static final int NOBODY = CLOSED | GIVEN;
    private static final VarHandle USERS = users();
    private static final Ioctl CHECK_EXTENSION = new Ioctl("KVM_CHECK_EXTENSION", kvm_h.KVM_CHECK_EXTENSION());

    private final Kernel kernel;
    /** Linux does not call back; another kernel may be a program's own, and observe its calls. */
    private final boolean callsBack;
    private final int number;
    private final FileKind kind;
    private final String name;
    private final @Nullable FileDescriptor maker;
    private volatile int users;
    private volatile boolean givenBack;

    private FileDescriptor(Kernel kernel, int number, FileKind kind, String name, @Nullable FileDescriptor maker) {
        if (number < 0) {
            throw new IllegalArgumentException(number + " is no file descriptor (" + name + ")");
        }
        this.kernel = kernel;
        this.callsBack = !(kernel instanceof LinuxKernel);
        this.number = number;
        this.kind = kind;
        this.name = name;
        this.maker = maker;
    }

    private static VarHandle users() {
        try {
            return MethodHandles.lookup().findVarHandle(FileDescriptor.class, "users", int.class);
        } catch (ReflectiveOperationException impossible) {
            throw new ExceptionInInitializerError(impossible);
        }
    }

    /**
     * Takes ownership of a number that the kernel returned.
     *
     * @param kernel the kernel that returned it
     * @param number the number, zero or more
     * @param name what it is, for messages: a path, or words such as {@code eventfd}
     * @return the descriptor, which closes the number
     */
    public static FileDescriptor own(Kernel kernel, int number, String name) {
        return own(kernel, number, FileKind.ofPath(name), name);
    }

    /**
     * Takes ownership of a number that the kernel returned.
     *
     * @param kernel the kernel that returned it
     * @param number the number, zero or more
     * @param kind which ioctls it takes
     * @param name what it is, for messages: a path, or words such as {@code VM}
     * @return the descriptor, which closes the number
     */
    public static FileDescriptor own(Kernel kernel, int number, FileKind kind, String name) {
        return new FileDescriptor(kernel, number, kind, name, null);
    }

    /** Takes ownership of what an ioctl of a file has opened. */
    static FileDescriptor ownMadeBy(FileDescriptor maker, int number, FileKind kind, String name) {
        return new FileDescriptor(maker.kernel, number, kind, name, maker);
    }

    /**
     * {@code open(2)}.
     *
     * @param kernel where to open it
     * @param path an absolute path
     * @param flags the {@code O_} bits; close-on-exec is always added
     * @return the open file
     * @throws KernelException when the kernel refuses
     */
    public static FileDescriptor open(Kernel kernel, String path, int flags) {
        int result = (int) Lifecycle.calling(() -> kernel.open(path, flags | system_h.O_CLOEXEC()));
        if (result < 0) {
            throw new KernelException("open", path, result);
        }
        return own(kernel, result, path);
    }

    /**
     * The kernel that this file is open in.
     *
     * @return never null
     */
    public Kernel kernel() {
        return kernel;
    }

    /**
     * The number, for messages. To hand it to the kernel use {@link #lend}, which keeps it from being closed and
     * reused meanwhile.
     *
     * @return the number, also after the close
     */
    public int number() {
        return number;
    }

    /**
     * Whether calls are still possible.
     *
     * @return false from the moment of the close
     */
    public boolean isOpen() {
        return users >= 0;
    }

    String name() {
        return name;
    }

    /** Whether the kernel has the number back: the last call that used it may give it back after the close. */
    boolean isGivenBack() {
        return givenBack;
    }

    /** Whether a call that uses this number runs now; after the close there is at most what was running. */
    boolean isInUse() {
        return (users & ~NOBODY) != 0;
    }

    /**
     * Runs a call that passes this number to the kernel inside its argument. The number stays this file's until the
     * call has returned; what closes the file's owner within it would wait for itself.
     *
     * @param call receives the number
     * @return what the call returned
     * @throws ClosedException when this descriptor is closed
     */
    public int lend(IntUnaryOperator call) {
        acquire();
        try {
            return call.applyAsInt(number);
        } finally {
            release();
        }
    }

    /**
     * Runs a call that passes the numbers of several files to the kernel inside its argument.
     *
     * @param files the files, in the order of the numbers
     * @param call receives the numbers
     * @return what the call returned
     * @throws IllegalArgumentException when they are of two kernels
     * @throws ClosedException when one of them is closed
     */
    public static int lend(List<FileDescriptor> files, ToIntFunction<int[]> call) {
        int lent = 0;
        try {
            int[] numbers = new int[files.size()];
            for (FileDescriptor file : files) {
                ObservedKernel.requireSame(files.getFirst(), files.getFirst().kernel, file, file.kernel);
                file.acquire();
                numbers[lent++] = file.number;
            }
            return call.applyAsInt(numbers);
        } finally {
            while (lent > 0) {
                files.get(--lent).release();
            }
        }
    }

    /**
     * {@code ioctl(2)} with a pointer. The memory must be all that the kernel will read or write: what the number says
     * ({@link Ioctl#size()}), with the elements behind it that a member counts; of VFIO and iommufd as much as the first
     * word of the struct says. A segment of length 0 is an address, and is not looked at.
     *
     * @param ioctl the ioctl
     * @param argument native memory; {@link MemorySegment#NULL} for none
     * @return the result or a negative errno
     * @throws IllegalArgumentException when the memory is smaller, on Java's heap, or read-only where the kernel writes;
     *         no call is made
     * @throws ClosedException when this descriptor is closed
     */
    public int ioctl(Ioctl ioctl, MemorySegment argument) {
        if (argument != MemorySegment.NULL) {
            IoctlArgument.check(this, ioctl, argument);
        }
        return make(ioctl, argument);
    }

    private int make(Ioctl ioctl, MemorySegment argument) {
        acquire();
        try {
            return FlightRecorder.isInUse()
                    ? IoctlEvent.call(kernel, this, kind, ioctl.number(), argument)
                    : kernel.ioctl(number, ioctl.number(), argument);
        } catch (Throwable thrown) {
            if (!(kernel instanceof ObservedKernel)) {
                Lifecycle.callThrew(Lifecycle.Made.MAYBE);
            }
            throw thrown;
        } finally {
            release();
        }
    }

    /**
     * {@code ioctl(2)} with a number.
     *
     * @param ioctl the ioctl
     * @param argument the number
     * @return the result or a negative errno
     * @throws ClosedException when this descriptor is closed
     */
    public int ioctl(Ioctl ioctl, long argument) {
        return make(ioctl, MemorySegment.ofAddress(argument));
    }

    /**
     * {@link #ioctl(Ioctl, MemorySegment)} that is expected to succeed.
     *
     * @param ioctl the ioctl
     * @param argument native memory
     * @return the result, zero or more
     * @throws IllegalArgumentException as {@link #ioctl(Ioctl, MemorySegment)}
     * @throws KernelException when the kernel refuses
     * @throws ClosedException when this descriptor is closed
     */
    public int call(Ioctl ioctl, MemorySegment argument) {
        return checked(ioctl, ioctl(ioctl, argument));
    }

    /**
     * {@link #ioctl(Ioctl, long)} that is expected to succeed.
     *
     * @param ioctl the ioctl
     * @param argument the number
     * @return the result, zero or more
     * @throws KernelException when the kernel refuses
     * @throws ClosedException when this descriptor is closed
     */
    public int call(Ioctl ioctl, long argument) {
        return checked(ioctl, ioctl(ioctl, argument));
    }

    private int checked(Ioctl ioctl, int result) {
        if (result < 0) {
            throw new KernelException(ioctl.name(), this, result);
        }
        return result;
    }

    /**
     * {@code mmap(2)} of this file.
     *
     * @param length in bytes
     * @param protection the {@code PROT_} bits
     * @param flags the {@code MAP_} bits
     * @param offset in bytes
     * @return the address or a negative errno
     * @throws ClosedException when this descriptor is closed
     */
    public long mmap(long length, int protection, int flags, long offset) {
        acquire();
        try {
            return kernel.mmap(length, protection, flags, number, offset);
        } finally {
            release();
        }
    }

    /**
     * {@code ftruncate(2)}.
     *
     * @param length the new size in bytes
     * @return 0 or a negative errno
     * @throws ClosedException when this descriptor is closed
     */
    public int ftruncate(long length) {
        acquire();
        try {
            return kernel.ftruncate(number, length);
        } finally {
            release();
        }
    }

    /**
     * {@code read(2)}.
     *
     * @param buffer native memory to fill
     * @return the number of bytes or a negative errno
     * @throws IllegalArgumentException when the buffer is on Java's heap or read-only
     * @throws ClosedException when this descriptor is closed
     */
    public long read(MemorySegment buffer) {
        NativeMemory.requireWritable(buffer, "read", this);
        acquire();
        try {
            return kernel.read(number, buffer);
        } finally {
            release();
        }
    }

    /**
     * {@code write(2)}.
     *
     * @param buffer native memory to write
     * @return the number of bytes or a negative errno
     * @throws IllegalArgumentException when the buffer is on Java's heap
     * @throws ClosedException when this descriptor is closed
     */
    public long write(MemorySegment buffer) {
        NativeMemory.require(buffer, "write", this);
        acquire();
        try {
            return kernel.write(number, buffer);
        } finally {
            release();
        }
    }

    /**
     * {@code pread(2)}.
     *
     * @param buffer native memory to fill
     * @param offset in bytes
     * @return the number of bytes or a negative errno
     * @throws IllegalArgumentException when the buffer is on Java's heap or read-only
     * @throws ClosedException when this descriptor is closed
     */
    public long pread(MemorySegment buffer, long offset) {
        NativeMemory.requireWritable(buffer, "pread", this);
        acquire();
        try {
            return kernel.pread(number, buffer, offset);
        } finally {
            release();
        }
    }

    /**
     * {@code pwrite(2)}.
     *
     * @param buffer native memory to write
     * @param offset in bytes
     * @return the number of bytes or a negative errno
     * @throws IllegalArgumentException when the buffer is on Java's heap
     * @throws ClosedException when this descriptor is closed
     */
    public long pwrite(MemorySegment buffer, long offset) {
        NativeMemory.require(buffer, "pwrite", this);
        acquire();
        try {
            return kernel.pwrite(number, buffer, offset);
        } finally {
            release();
        }
    }

    /**
     * {@code poll(2)}.
     *
     * @param events the {@code POLL} bits to wait for
     * @param timeoutMillis milliseconds; -1 for ever
     * @return the bits that are set, 0 when the time is over, or a negative errno
     * @throws ClosedException when this descriptor is closed
     */
    public int poll(int events, int timeoutMillis) {
        acquire();
        try {
            return kernel.poll(number, events, timeoutMillis);
        } finally {
            release();
        }
    }

    /** {@code epoll_wait(2)}. */
    int epollWait(MemorySegment events, int timeoutMillis) {
        acquire();
        try {
            return kernel.epollWait(number, events, timeoutMillis);
        } finally {
            release();
        }
    }

    /** What a capability of the file is that has opened this one; 0 where that is not known. */
    int checkExtensionOfMaker(int capability) {
        return maker == null ? 0 : maker.ioctl(CHECK_EXTENSION, capability);
    }

    private void acquire() {
        int before;
        do {
            before = users;
            if (before < 0) {
                throw new ClosedException(name + " (fd " + number + ")");
            }
        } while (!USERS.weakCompareAndSet(this, before, before + 1));
        if (callsBack) {
            try {
                Lifecycle.enterCall();
            } catch (Throwable failure) {
                // A count that stays up would keep a close waiting for ever. There is stack for what was called above.
                if ((int) USERS.getAndAdd(this, -1) == CLOSED + 1) {
                    new Failures(failure).attempt(this::giveBack);
                }
                throw failure;
            }
        }
    }

    private void release() {
        try {
            if ((int) USERS.getAndAdd(this, -1) == CLOSED + 1) {
                giveBack();
            }
        } finally {
            if (callsBack) {
                Lifecycle.leaveCall();
            }
        }
    }

    /** Once: after an error on the way here it is tried again, and after one out of close(2) it is not. */
    private void giveBack() {
        if (((int) USERS.getAndBitwiseOr(this, GIVEN) & GIVEN) == 0) {
            try {
                kernel.close(number);
            } finally {
                givenBack = true;
            }
        }
    }

    /** Gives the number back to the kernel, at once or when the last call that uses it returns. */
    @Override
    public void close() {
        if (((int) USERS.getAndBitwiseOr(this, CLOSED) & ~NOBODY) != 0 || givenBack) {
            return;
        }
        if (callsBack) {
            Lifecycle.callBack(this::giveBack);
        } else {
            giveBack();
        }
    }

    @Override
    public String toString() {
        return name + " (fd " + number + (isOpen() ? ")" : ", closed)");
    }
}
