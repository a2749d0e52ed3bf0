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
    /** Of the counts: the looks at handles. */
    static final int LEASES = 1;
    /** Of the counts: the closes. */
    static final int CLOSES = 2;
    /** Of the counts: the steps after a close. */
    static final int STEPS = 3;
    private static final int THROWN = 4;

    private static final int COUNTS = 0;
    /** What this thread closes, innermost. */
    static final int CLOSING = 1;
    private static final int LATER = 2;
    private static final int REFUSED = 3;
    private static final int KNOWN = 4;
    private static final int MADE = 5;
    private static final ThreadLocal<@Nullable Object[]> OF_THREAD = ThreadLocal
            .withInitial(() -> new @Nullable Object[]{new int[5], null, new LinkedHashSet<>(), null, null, null});

    private Turn() {
    }

    /** The thread's own. Each method takes it, so that a close looks for it once. */
    static @Nullable Object[] current() {
        return OF_THREAD.get();
    }

    /** How many calls, looks, closes and steps this thread is in. Who must count down although the stack is used up does so here. */
    static int[] counts(@Nullable Object[] turn) {
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

    /** A kernel of the program's own ended a call with an exception. */
    static void callThrew(@Nullable Object[] turn, Lifecycle.Made made) {
        counts(turn)[THROWN]++;
        turn[MADE] = made.name();
    }

    /** What became of the last such call. */
    static Lifecycle.Made lastThrown(@Nullable Object[] turn) {
        return Lifecycle.Made.valueOf((String) Objects.requireNonNull(turn[MADE]));
    }

    /** How many calls have ended so. */
    static int thrown(@Nullable Object[] turn) {
        return counts(turn)[THROWN];
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
        return mayWait(turn) && counts(turn)[CLOSES] == 0 && counts(turn)[STEPS] == 0;
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

    /** Keeps what a hook is about to throw, when the close that this thread is in has it already. */
    static void throwsKnown(@Nullable Object[] turn, @Nullable Throwable failure) {
        turn[KNOWN] = failure;
    }

    static boolean isKnown(@Nullable Object[] turn, Throwable failure) {
        return turn[KNOWN] == failure;
    }

    /** A close that is within no other one tries everything. */
    static void forgetRefusals(@Nullable Object[] turn) {
        if (counts(turn)[CLOSES] == 0) {
            turn[REFUSED] = null;
            turn[KNOWN] = null;
        }
    }
}
