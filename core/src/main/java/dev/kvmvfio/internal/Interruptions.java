package dev.kvmvfio.internal;

/**
 * Counts how often one call was interrupted before it had done anything. A profiler's signals interrupt some calls a
 * thousand times a second, and for ever; a kernel that does nothing but answer {@code EINTR} is faster than any signals.
 *
 * <p><b>Thread-safety:</b> none; it is for one call.
 */
public final class Interruptions {
    private static final int MOST = 10_000;
    private static final long WITHIN_NANOS = 1_000_000_000;

    private int count;
    private long since;

    /** Nothing was interrupted yet. */
    public Interruptions() {
    }

    /** One more: whether the call may be made again. */
    public boolean mayTryAgain() {
        if (count == 0) {
            since = System.nanoTime();
        }
        if (++count < MOST) {
            return true;
        }
        count = 0;
        return System.nanoTime() - since > WITHIN_NANOS;
    }
}
