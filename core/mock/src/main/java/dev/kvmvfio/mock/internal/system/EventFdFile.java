package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EAGAIN;
import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.bindings.system.system_h;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * An eventfd. VFIO and KVM keep the object and not the file: it goes on existing for them when the last number is
 * closed, and they are told.
 */
public final class EventFdFile extends AnonymousFile {
    /** The counter never gets to the highest 64-bit number. */
    private static final long LARGEST = -2;
    private static final long FORBIDDEN = -1;

    private final Machine machine;
    private final boolean blocking;
    private final boolean semaphore;
    private boolean waking;
    private final List<Waiter> waiters = new ArrayList<>();
    private long counter;

    EventFdFile(Machine machine, int initialValue, int flags) {
        super("eventfd");
        Refusal.when((flags & ~(system_h.EFD_CLOEXEC() | system_h.EFD_NONBLOCK() | system_h.EFD_SEMAPHORE())) != 0,
                EINVAL);
        this.machine = machine;
        this.counter = Integer.toUnsignedLong(initialValue);
        this.blocking = (flags & system_h.EFD_NONBLOCK()) == 0;
        this.semaphore = (flags & system_h.EFD_SEMAPHORE()) != 0;
    }

    /** A part of the kernel that takes every signal before a reader can. */
    public interface Waiter {
        void signalled();

        /** The last file descriptor of the eventfd was closed. */
        void hungUp();
    }

    /** The eventfd behind a number, for a call that takes one. */
    public static EventFdFile of(Machine machine, int fd) {
        if (machine.files().get(fd) instanceof EventFdFile eventFd) {
            return eventFd;
        }
        throw Refusal.of(EINVAL);
    }

    public boolean isSignalled() {
        return counter != 0;
    }

    /** What the kernel does to tell of an event. */
    public void signal() {
        if (counter != LARGEST) {
            counter++;
        }
        wake();
    }

    public void addWaiter(Waiter waiter) {
        waiters.add(waiter);
    }

    /** Whoever waited here takes what is there when it leaves. */
    public void removeWaiter(Waiter waiter) {
        take();
        waiters.remove(waiter);
    }

    public boolean hasWaiter() {
        return !waiters.isEmpty();
    }

    /** A waiter whose answer is a signal of this eventfd is not told of its own: the signal stays for a reader. */
    private void wake() {
        if (!waking) {
            waking = true;
            try {
                for (Waiter waiter : List.copyOf(waiters)) {
                    take();
                    waiter.signalled();
                }
            } finally {
                waking = false;
            }
        }
        machine.changed();
    }

    private long take() {
        long taken = semaphore && counter != 0 ? 1 : counter;
        counter -= taken;
        return taken;
    }

    @Override
    protected long read(Buffer buffer) {
        Refusal.when(buffer.size() < Long.BYTES, EINVAL);
        while (counter == 0) {
            Refusal.when(!blocking, EAGAIN);
            machine.await();
        }
        MemorySegment value = Argument.allocate(Long.BYTES);
        value.set(ValueLayout.JAVA_LONG, 0, take());
        machine.changed();
        buffer.copyOut(value);
        return Long.BYTES;
    }

    @Override
    protected long write(Buffer buffer) {
        Refusal.when(buffer.size() < Long.BYTES, EINVAL);
        long value = buffer.copyIn(Long.BYTES).get(ValueLayout.JAVA_LONG, 0);
        Refusal.when(value == FORBIDDEN, EINVAL);
        while (Long.compareUnsigned(LARGEST - counter, value) < 0) {
            Refusal.when(!blocking, EAGAIN);
            machine.await();
        }
        counter += value;
        wake();
        return Long.BYTES;
    }

    @Override
    int poll() {
        return (counter != 0 ? system_h.POLLIN() : 0) | (counter == FORBIDDEN ? system_h.POLLERR() : 0)
                | (counter != LARGEST ? system_h.POLLOUT() : 0);
    }

    @Override
    protected void release() {
        List.copyOf(waiters).forEach(Waiter::hungUp);
    }
}
