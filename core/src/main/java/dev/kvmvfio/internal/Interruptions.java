package dev.kvmvfio.internal;

/**
 * When to give up a call that is interrupted again and again. A profiler's signals interrupt calls a thousand times a
 * second, and for ever; a kernel that does nothing but answer {@code EINTR} is faster than any signals.
 */
public final class Interruptions {
    private static final int FEW = 10_000;
    private static final long LEAST_NANOS_BETWEEN = 100_000;

    private Interruptions() {
    }

    /**
     * Whether these are more than signals make.
     *
     * @param count how many there were
     * @param since when they began, by {@link System#nanoTime()}
     */
    public static boolean areTooMany(long count, long since) {
        return count >= FEW && System.nanoTime() - since < count * LEAST_NANOS_BETWEEN;
    }
}
