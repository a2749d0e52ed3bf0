package dev.kvmvfio.internal;

import org.jspecify.annotations.Nullable;

/** Collects what goes wrong while several things must all be tried. */
public final class Failures {
    private @Nullable Throwable first;
    /** Whether somebody else tells of it too, with what it has suppressed. */
    private boolean known;

    /** Nothing has failed yet. */
    public Failures() {
    }

    /** Something has failed, and now the rest must be undone. */
    public Failures(Throwable first) {
        this.first = first;
    }

    /** Runs a step and keeps what it throws. */
    public void attempt(Runnable step) {
        try {
            step.run();
        } catch (Throwable failure) {
            add(failure);
        }
    }

    /** Keeps what a step has thrown. */
    public void add(Throwable failure) {
        if (first == null) {
            first = failure;
        } else if (first != failure) {
            first.addSuppressed(failure);
        }
    }

    /** Keeps what was collected before, unless there is something else to tell of. */
    public void addKnown(Throwable failure) {
        if (first == null) {
            first = failure;
            known = true;
        }
    }

    /** Keeps what others have collected. */
    public void addAll(Failures others) {
        if (others.first != null) {
            if (others.known) {
                addKnown(others.first);
            } else {
                add(others.first);
            }
        }
    }

    /** The first failure, when all that was kept is told elsewhere too; else null. */
    @Nullable
    Throwable known() {
        return known ? first : null;
    }

    /** The first failure, with the later ones suppressed; null when nothing has failed. */
    public @Nullable Throwable first() {
        return first;
    }

    /** Throws the first failure, if there was one, with the later ones suppressed. */
    public void throwFirst() {
        if (first != null) {
            throw Failures.<RuntimeException>unchecked(first);
        }
    }

    /** The first failure is of no concern to the caller. */
    public void reportFirst() {
        if (first != null) {
            report(first);
        }
    }

    /**
     * Hands a failure to this thread's handler of uncaught exceptions. Nobody can be told of what that throws; the Java
     * machine ignores it too.
     */
    public static void report(Throwable failure) {
        Thread current = Thread.currentThread();
        try {
            current.getUncaughtExceptionHandler().uncaughtException(current, failure);
        } catch (Throwable ignored) {
            return;
        }
    }

    /** What a user's callback throws may be checked, whatever its signature says. */
    @SuppressWarnings("unchecked")
    private static <T extends Throwable> T unchecked(Throwable failure) throws T {
        throw (T) failure;
    }
}
