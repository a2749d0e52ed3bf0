package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.internal.Interruptions;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Waiting;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * An epoll: with it one thread waits for many eventfds, such as the interrupts of all devices of a program.
 *
 * {@snippet lang=java :
 * try (Epoll epoll = Epoll.create(Kernel.linux()); EventFd first = EventFd.create(Kernel.linux());
 *         EventFd second = EventFd.create(Kernel.linux())) {
 *     epoll.add(first);
 *     epoll.add(second);
 *     second.signal();
 *     EventFd[] signalled = new EventFd[2];
 *     int count = epoll.await(signalled, java.time.Duration.ofSeconds(1));
 *     for (int i = 0; i < count; i++) {
 *         System.out.println(signalled[i] + ": " + signalled[i].take());
 *     }
 * }
 * }
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread; one thread at a time waits.
 */
public final class Epoll extends FileHandle {
    private static final int MOST_AT_ONCE = 64;

    private final AtomicReference<@Nullable Thread> waiter = new AtomicReference<>();
    /** For the one thread that waits: room for as many as it wants to be told of. */
    private MemorySegment events = MemorySegment.NULL;
    /** Each at the number that the kernel tells it by. Replaced, and never changed. */
    private volatile @Nullable Member[] members = {};

    private Epoll(FileDescriptor fd) {
        super(fd, Rank.FILE);
    }

    /** That an epoll waits for an eventfd. It belongs to both, and ends with each of them. */
    public static final class Member extends Handle {
        private final Epoll epoll;
        private final EventFd eventFd;
        private final int number;

        private Member(Epoll epoll, EventFd eventFd) {
            super(Rank.LINK);
            this.epoll = epoll;
            this.eventFd = eventFd;
            this.number = epoll.remember(this);
        }

        /**
         * What is waited for.
         *
         * @return the eventfd
         */
        public EventFd eventFd() {
            return eventFd;
        }

        private void control(int operation) {
            int result = FileDescriptor.lend(List.of(epoll.fd(), eventFd.fd()), fds -> epoll.fd().kernel()
                    .epollControl(fds[0], operation, fds[1], system_h.EPOLLIN(), number));
            if (result < 0) {
                throw new KernelException("epoll_ctl", epoll.fd(), "fd=" + eventFd, result, "");
            }
        }

        @Override
        protected void release() {
            control(system_h.EPOLL_CTL_DEL());
            epoll.forget(this);
        }

        @Override
        public String toString() {
            return eventFd + " in " + epoll;
        }
    }

    /**
     * {@code epoll_create1(2)}, with nothing to wait for.
     *
     * @param kernel where to make it
     * @return the epoll, owned by the caller
     * @throws KernelException when no file can be opened
     */
    public static Epoll create(Kernel kernel) {
        int result = kernel.epollCreate(system_h.EPOLL_CLOEXEC());
        if (result < 0) {
            throw new KernelException("epoll_create1", "this process", result);
        }
        FileDescriptor fd = FileDescriptor.own(kernel, result, "epoll");
        return Lifecycle.root(new Epoll(fd), fd);
    }

    /**
     * {@code epoll_ctl(2)}: waits for an eventfd too, also in a wait that goes on.
     *
     * @param eventFd what to wait for; it stays the caller's
     * @return what ends that when it is closed; it belongs to this epoll and to the eventfd
     * @throws IllegalArgumentException when the eventfd is of another kernel
     * @throws KernelException when the kernel refuses; {@code EEXIST} when it is waited for already
     * @throws ClosedException when one of them is closed
     */
    public Member add(EventFd eventFd) {
        Member member = new Member(this, eventFd);
        try {
            return Lifecycle.make(member, () -> member.control(system_h.EPOLL_CTL_ADD()), this, eventFd);
        } catch (Throwable failure) {
            forget(member);
            throw failure;
        }
    }

    private synchronized int remember(Member member) {
        int free = Arrays.asList(members).indexOf(null);
        int number = free < 0 ? members.length : free;
        @Nullable
        Member[] more = Arrays.copyOf(members, Math.max(members.length, number + 1));
        more[number] = member;
        members = more;
        return number;
    }

    private synchronized void forget(Member member) {
        if (members[member.number] == member) {
            @Nullable
            Member[] fewer = members.clone();
            fewer[member.number] = null;
            members = fewer;
        }
    }

    /**
     * {@code epoll_wait(2)}: waits until an eventfd is signalled. It takes nothing: who does not call
     * {@link EventFd#take()} is told again at once.
     *
     * <p>{@link Thread#interrupt} ends the wait within 50 milliseconds, and stays set; so does a close. A platform thread
     * waits in the kernel; a virtual one looks once in a millisecond, and keeps nobody waiting meanwhile. Nothing is
     * allocated, as long as the array has the same length.
     *
     * @param signalled receives the eventfds that are signalled, as many as there is room for, those first that were not
     *        told the last time
     * @param timeout how long to wait, in steps of a millisecond
     * @return how many there are, 0 when the time is over or the thread was interrupted
     * @throws IllegalArgumentException when there is no room for one
     * @throws IllegalStateException when another thread waits already
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when the kernel tells more than there is room for
     * @throws ClosedException when this epoll is closed, also during the wait
     */
    public int await(EventFd[] signalled, Duration timeout) {
        if (signalled.length == 0) {
            throw new IllegalArgumentException("there is no room for an eventfd of " + this);
        }
        if (!waiter.compareAndSet(null, Thread.currentThread())) {
            throw new IllegalStateException(waiter.get() + " waits with " + this + " already");
        }
        try {
            return awaitAlone(signalled, System.nanoTime(), Math.max(0, TimeUnit.NANOSECONDS.convert(timeout)));
        } finally {
            waiter.set(null);
        }
    }

    private int awaitAlone(EventFd[] signalled, long start, long patience) {
        int most = Math.min(signalled.length, MOST_AT_ONCE);
        if (events.byteSize() != (long) most * Kernel.EPOLL_EVENT_SIZE) {
            events = Arena.ofAuto().allocate((long) most * Kernel.EPOLL_EVENT_SIZE, Long.BYTES);
        }
        for (long tries = 1; isOpen(); tries++) {
            long left = Math.max(0, patience - (System.nanoTime() - start));
            int result = fd().epollWait(events, Waiting.step(left));
            boolean ended = Interruptions.areTooMany(tries, start);
            if (result < 0 && (ended || !Errno.EINTR.is(result))) {
                throw new KernelException("epoll_wait", fd(), result);
            }
            if (result > most) {
                throw new AnswerException("epoll_wait", fd(), result + " events for " + most);
            }
            int count = read(Math.max(0, result), signalled);
            if (count > 0 || left == 0 || Thread.currentThread().isInterrupted()) {
                return count;
            }
            if (ended) {
                throw new AnswerException("epoll_wait", fd(), result + " events, and nothing is signalled");
            }
            Waiting.rest(left);
        }
        throw new ClosedException(this);
    }

    /** One that was taken out meanwhile is not told. */
    private int read(int told, EventFd[] signalled) {
        @Nullable
        Member[] now = members;
        int count = 0;
        for (int i = 0; i < told; i++) {
            long number = events.get(ValueLayout.JAVA_LONG, (long) i * Kernel.EPOLL_EVENT_SIZE + Long.BYTES);
            Member member = number >= 0 && number < now.length ? now[(int) number] : null;
            if (member != null) {
                signalled[count++] = member.eventFd;
            }
        }
        return count;
    }

    /** A thread that waits looks soon whether this is open. */
    @Override
    protected boolean quiesce() {
        Thread waiting = waiter.get();
        return waiting == null || waiting == Thread.currentThread();
    }
}
