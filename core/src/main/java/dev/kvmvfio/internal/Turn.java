package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.Handle;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedSet;

import org.jspecify.annotations.Nullable;

/**
 * What a thread is in the middle of: calls into a kernel that may call back, looks at handles that their closes wait for,
 * and closes. It says whether the thread may wait for others, and keeps what it has to do when it may.
 *
 * <p>What is kept for a thread are objects of the JDK alone, so that a thread of somebody else's keeps nothing of this
 * library alive.
 */
final class Turn {
    private static final int CALLS = 0;
    private static final int LEASES = 1;
    private static final int CLOSES = 2;

    private static final int COUNTS = 0;
    private static final int CLOSING = 1;
    private static final int LATER = 2;
    private static final int REFUSED = 3;
    private static final ThreadLocal<@Nullable Object[]> OF_THREAD = ThreadLocal
            .withInitial(() -> new @Nullable Object[]{new int[3], null, new LinkedHashSet<>(), null});

    private Turn() {
    }

    /** The thread's own. Each method takes it, so that a close looks for it once. */
    static @Nullable Object[] current() {
        return OF_THREAD.get();
    }

    private static int[] counts(@Nullable Object[] turn) {
        return (int[]) Objects.requireNonNull(turn[COUNTS]);
    }

    @SuppressWarnings("unchecked")
    private static SequencedSet<Object> later(@Nullable Object[] turn) {
        return (SequencedSet<Object>) Objects.requireNonNull(turn[LATER]);
    }

    @SuppressWarnings("unchecked")
    private static @Nullable Map<Object, Throwable> refused(@Nullable Object[] turn) {
        return (Map<Object, Throwable>) turn[REFUSED];
    }

    static void enterCall(@Nullable Object[] turn) {
        counts(turn)[CALLS]++;
    }

    static void leaveCall(@Nullable Object[] turn) {
        counts(turn)[CALLS]--;
    }

    static void enterLease(@Nullable Object[] turn) {
        counts(turn)[LEASES]++;
    }

    static void leaveLease(@Nullable Object[] turn) {
        counts(turn)[LEASES]--;
    }

    /** Begins a close, and answers what this thread was closing before. */
    static @Nullable Object enterClose(@Nullable Object[] turn, Handle handle) {
        counts(turn)[CLOSES]++;
        Object outer = turn[CLOSING];
        turn[CLOSING] = handle;
        return outer;
    }

    static void leaveClose(@Nullable Object[] turn, @Nullable Object outer) {
        turn[CLOSING] = outer;
        counts(turn)[CLOSES]--;
    }

    /** What this thread closes, innermost. */
    static @Nullable Handle closing(@Nullable Object[] turn) {
        return (Handle) turn[CLOSING];
    }

    /** Whether nobody can wait for this thread to go on. */
    static boolean mayWait(@Nullable Object[] turn) {
        int[] counts = counts(turn);
        return counts[CALLS] == 0 && counts[LEASES] == 0;
    }

    /** Whether this thread is in the middle of nothing. */
    static boolean isFree(@Nullable Object[] turn) {
        return mayWait(turn) && counts(turn)[CLOSES] == 0;
    }

    /** Keeps a handle to close, or a step to run, until this thread is free. */
    static void putOff(@Nullable Object[] turn, Object next) {
        later(turn).add(next);
        Map<Object, Throwable> refused = refused(turn);
        if (refused != null) {
            refused.remove(next);
        }
    }

    static boolean hasNext(@Nullable Object[] turn) {
        return !later(turn).isEmpty() && isFree(turn);
    }

    /** What was put off first; null when there is nothing, or this thread is not free. */
    static @Nullable Object next(@Nullable Object[] turn) {
        return hasNext(turn) ? later(turn).removeFirst() : null;
    }

    /** Keeps why a handle was not given back, for its other parents, each of which would try it once more. */
    static void refuse(@Nullable Object[] turn, Handle handle, Throwable why) {
        Map<Object, Throwable> refused = refused(turn);
        if (refused == null) {
            turn[REFUSED] = refused = new HashMap<>();
        }
        refused.put(handle, why);
    }

    /** Why the close that this thread is in could not give a handle back; null when it has not tried, or has. */
    static @Nullable Throwable refusal(@Nullable Object[] turn, Handle handle) {
        Map<Object, Throwable> refused = refused(turn);
        return refused == null ? null : refused.get(handle);
    }

    static boolean isRefusal(@Nullable Object[] turn, Throwable failure) {
        Map<Object, Throwable> refused = refused(turn);
        return refused != null && refused.containsValue(failure);
    }

    /** A close that is within no other one tries everything. */
    static void forgetRefusals(@Nullable Object[] turn) {
        if (counts(turn)[CLOSES] == 0) {
            turn[REFUSED] = null;
        }
    }
}
