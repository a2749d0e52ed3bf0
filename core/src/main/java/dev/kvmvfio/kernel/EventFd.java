package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.internal.Interruptions;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.internal.Waiting;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * An eventfd: a counter that the kernel, a device's interrupt or another thread adds to and that a reader takes back to
 * zero. VFIO signals one for each interrupt, and KVM injects an interrupt when one is signalled.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class EventFd extends FileHandle {
    private final AtomicInteger waiters = new AtomicInteger();

    private EventFd(FileDescriptor fd) {
        super(fd, Rank.MEMORY);
    }

    /**
     * {@code eventfd(2)}, non-blocking, with the counter at zero.
     *
     * @param kernel where to make it
     * @return the eventfd, owned by the caller
     * @throws KernelException when no file can be opened
     */
    public static EventFd create(Kernel kernel) {
        int result = (int) Lifecycle
                .calling(() -> kernel.eventfd(0, system_h.EFD_CLOEXEC() | system_h.EFD_NONBLOCK()));
        if (result < 0) {
            throw new KernelException("eventfd", "this process", result);
        }
        FileDescriptor fd = FileDescriptor.own(kernel, result, "eventfd");
        return Lifecycle.root(new EventFd(fd), fd);
    }

    /**
     * Takes the counter back to zero without waiting.
     *
     * @return what it was: how often it was signalled since the last time
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when the kernel answers what no eventfd can
     * @throws ClosedException when this eventfd is closed
     */
    public long take() {
        MemorySegment counter = Scratch.begin().allocate(ValueLayout.JAVA_LONG);
        long result = fd().read(counter);
        if (Errno.EAGAIN.is(result)) {
            return 0;
        }
        requireAll("read", result);
        return counter.get(ValueLayout.JAVA_LONG, 0);
    }

    /**
     * Waits for a signal and takes the counter back to zero. One thread waits for many with an {@link Epoll}.
     *
     * <p>{@link Thread#interrupt} ends the wait within 50 milliseconds, and stays set; with {@link Kernel#interrupt(int)}
     * and the thread's number, at once. A platform thread waits in the kernel; a virtual one looks once in a millisecond,
     * and keeps nobody waiting meanwhile. Nothing is allocated.
     *
     * @param timeout how long to wait, in steps of a millisecond
     * @return how often it was signalled, 0 when the time is over or the thread was interrupted
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when the kernel answers what no eventfd can
     * @throws ClosedException when this eventfd is closed, also during the wait
     */
    public long await(Duration timeout) {
        long start = System.nanoTime();
        long patience = Math.max(0, TimeUnit.NANOSECONDS.convert(timeout));
        Lifecycle.enterCall();
        try {
            waiters.incrementAndGet();
            try {
                return await(start, patience);
            } finally {
                waiters.decrementAndGet();
            }
        } finally {
            Lifecycle.leaveCall();
        }
    }

    private long await(long start, long patience) {
        for (long tries = 1; isOpen(); tries++) {
            long left = Math.max(0, patience - (System.nanoTime() - start));
            int result = fd().poll(system_h.POLLIN(), Waiting.step(left));
            boolean ended = Interruptions.areTooMany(tries, start);
            if (result < 0 && (ended || !Errno.EINTR.is(result))) {
                throw new KernelException("poll", fd(), result);
            }
            long count = result > 0 && isOpen() ? take() : 0;
            if (count > 0 || left == 0 || Thread.currentThread().isInterrupted()) {
                return count;
            }
            if (ended) {
                throw new AnswerException("poll", fd(), String.format("0x%x, and there is nothing to read", result));
            }
            Waiting.rest(left);
        }
        throw new ClosedException(this);
    }

    /** A thread that waits would keep the file open until its time is over; one between two looks sees the close. */
    @Override
    protected boolean quiesce() {
        boolean quiet = waiters.get() == 0 || !fd().isInUse();
        if (!quiet && fd().isOpen()) {
            signal();
        }
        return quiet;
    }

    /**
     * Adds one to the counter.
     *
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when the kernel answers what no eventfd can
     * @throws ClosedException when this eventfd is closed
     */
    public void signal() {
        MemorySegment one = Scratch.begin().allocate(ValueLayout.JAVA_LONG);
        one.set(ValueLayout.JAVA_LONG, 0, 1);
        long result = fd().write(one);
        requireAll("write", result);
    }

    private void requireAll(String call, long result) {
        if (result < 0) {
            throw new KernelException(call, fd(), result);
        }
        if (result != Long.BYTES) {
            throw new AnswerException(call, fd(), result + " for the " + Long.BYTES + " bytes of the counter");
        }
    }
}
