package dev.kvmvfio.internal;

import org.jspecify.annotations.Nullable;

/** Collects what goes wrong while several things must all be tried. */
public final class Failures {
    private @Nullable RuntimeException first;

    /** Nothing has failed yet. */
    public Failures() {
    }

    /** Something has failed, and now the rest must be undone. */
    public Failures(RuntimeException first) {
        this.first = first;
    }

    /** Runs a step and keeps what it throws. */
    public void attempt(Runnable step) {
        try {
            step.run();
        } catch (RuntimeException failure) {
            if (first == null) {
                first = failure;
            } else if (first != failure) {
                first.addSuppressed(failure);
            }
        }
    }

    /** Throws the first failure, if there was one, with the later ones suppressed. */
    public void throwFirst() {
        if (first != null) {
            throw first;
        }
    }
}
