package dev.kvmvfio.internal;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * How a thread waits in a call of the kernel, which knows nothing of {@link Thread#interrupt}: in steps, between which it
 * looks. A virtual thread does not wait there at all, because it would keep its carrier from others.
 */
public final class Waiting {
    private static final long STEP_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    private static final long VIRTUAL_STEP_NANOS = TimeUnit.MILLISECONDS.toNanos(1);

    private Waiting() {
    }

    /**
     * How long the next step may be.
     *
     * @param left until the wait is over, in nanoseconds
     * @return milliseconds; 0 on a virtual thread, and when this thread is interrupted
     */
    public static int step(long left) {
        boolean looks = Thread.currentThread().isVirtual() || Thread.currentThread().isInterrupted();
        return looks ? 0 : (int) Math.ceilDiv(Math.min(left, STEP_NANOS), 1_000_000);
    }

    /**
     * After a step that brought nothing, lets others have a virtual thread's carrier for a moment.
     *
     * @param left until the wait is over, in nanoseconds
     */
    public static void rest(long left) {
        if (Thread.currentThread().isVirtual()) {
            LockSupport.parkNanos(Math.min(left, VIRTUAL_STEP_NANOS));
        }
    }
}
