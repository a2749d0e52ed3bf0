package dev.kvmvfio.kvm;

import dev.kvmvfio.kernel.ClosedException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Whether a vCPU is in {@code KVM_RUN}, and who keeps it out of it.
 *
 * <p>Its thread says where it is before it looks for pauses, and who pauses says so before it looks where the thread is: so
 * one of the two finds out. The lock is held over no call, no callback and no wait.
 */
final class Pauses {
    /** Where the thread of a vCPU is: with the program, which may do with the registers what it likes. */
    static final int OUT = 0;
    /** In {@code KVM_RUN}, or about to be. */
    static final int IN_RUN = 1;
    /** With the program, which was told of a write. On x86-64 the registers are as in {@link #OUT}. */
    static final int WROTE = 2;
    /** With the program, which has not answered yet: {@code KVM_RUN} will change registers when it takes the answer. */
    static final int UNANSWERED = 3;
    /** With the program, which has answered, but {@code KVM_RUN} has not taken the answer. */
    static final int ANSWERED = 4;

    /** How long to wait before a look that nobody has asked for. */
    private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(1);
    private static final VarHandle STATE = state();

    private final Vcpu vcpu;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    /** Who pauses, once for each pause. */
    private final List<Thread> holders = new ArrayList<>();
    /** Whose calls read registers, change them and write them back. */
    private @Nullable Thread writer;
    private volatile int held;
    private volatile int state = OUT;

    Pauses(Vcpu vcpu) {
        this.vcpu = vcpu;
    }

    private static VarHandle state() {
        try {
            return MethodHandles.lookup().findVarHandle(Pauses.class, "state", int.class);
        } catch (ReflectiveOperationException impossible) {
            throw new ExceptionInInitializerError(impossible);
        }
    }

    // For the vCPU's thread.

    /** Enters {@code KVM_RUN}, unless somebody pauses the vCPU. */
    boolean enterRun() {
        int before = state;
        state = IN_RUN;
        if (held == 0) {
            return true;
        }
        leaveRun(before);
        return false;
    }

    /**
     * Has left {@code KVM_RUN}. This store and the look may change places, which spares each exit a fence: who waits
     * looks again soon.
     */
    void leaveRun(int where) {
        STATE.setRelease(this, where);
        if (held != 0) {
            wake();
        }
    }

    /** The exit is answered. Whoever answers too late, or twice, changes nothing. */
    void answered() {
        STATE.compareAndSet(this, UNANSWERED, ANSWERED);
    }

    boolean isInRun() {
        return state == IN_RUN;
    }

    /** Whether {@code KVM_RUN} still has to take what an exit was answered with, and changes registers then. */
    boolean isIncomplete(boolean writesToo) {
        int now = state;
        return now == ANSWERED || now == WROTE && writesToo;
    }

    /**
     * Waits until nobody pauses the vCPU, or it is closed.
     *
     * @throws IllegalStateException when it would wait for itself
     */
    void awaitResume() {
        lock.lock();
        try {
            while (held != 0 && vcpu.fd().isOpen()) {
                if (holders.contains(Thread.currentThread())) {
                    throw new IllegalStateException(vcpu + " is paused by this thread: close its pause first");
                }
                changed.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
    }

    // For those that pause.

    /** Lets the thread not enter {@code KVM_RUN} any more; one that is there is still to be told. */
    void begin() {
        lock.lock();
        try {
            holders.add(Thread.currentThread());
            held = holders.size();
        } finally {
            lock.unlock();
        }
    }

    void end(Thread holder) {
        lock.lock();
        try {
            holders.remove(holder);
            held = holders.size();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Waits until the thread is out of {@code KVM_RUN}.
     *
     * @param complete whether to wait also until that has taken an answer that was given; this depends on the program, so
     *        nobody waits so for a thread that has ended, or when interrupted
     * @throws ClosedException when the vCPU is closed
     */
    void awaitOut(boolean complete) {
        boolean writesToo = complete && vcpu.completesWrites();
        boolean interrupted = Thread.interrupted();
        lock.lock();
        try {
            while (isInRun() || complete && isIncomplete(writesToo) && vcpu.hasThread() && !interrupted) {
                interrupted |= awaitChange();
            }
            requireOpen();
        } finally {
            lock.unlock();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Waits for a change or a moment, and answers whether this thread was interrupted meanwhile. */
    private boolean awaitChange() {
        requireOpen();
        try {
            changed.awaitNanos(LOOK_NANOS);
            return false;
        } catch (InterruptedException interruption) {
            return true;
        }
    }

    private void requireOpen() {
        if (!vcpu.fd().isOpen()) {
            throw new ClosedException(vcpu);
        }
    }

    /** Tells those that wait to look again, also when the vCPU is closed. */
    void wake() {
        lock.lock();
        try {
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    // For those that write registers, while the vCPU is paused or on its thread.

    /**
     * Begins to read registers, change them and write them back: one thread at a time.
     *
     * @return whether this thread did not do so already
     * @throws IllegalStateException while an exit is not answered, or not completed
     */
    boolean beginWrite() {
        boolean writesToo = vcpu.completesWrites();
        boolean interrupted = false;
        lock.lock();
        try {
            requireComplete(writesToo);
            while (writer != null && writer != Thread.currentThread()) {
                interrupted |= awaitChange();
            }
            boolean first = writer == null;
            writer = Thread.currentThread();
            return first;
        } finally {
            lock.unlock();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private void requireComplete(boolean writesToo) {
        requireOpen();
        boolean unanswered = state == UNANSWERED;
        if (unanswered || isIncomplete(writesToo)) {
            throw new IllegalStateException("The registers of " + vcpu
                    + " cannot be written before KVM has completed its "
                    + vcpu.exit() + ": " + (unanswered ? "answer first, and " : "") + "call run() on its thread");
        }
    }

    void endWrite() {
        lock.lock();
        try {
            writer = null;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }
}
