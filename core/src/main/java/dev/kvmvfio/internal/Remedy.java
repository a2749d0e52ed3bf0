package dev.kvmvfio.internal;

import java.util.function.Supplier;

/** What a message about a failure says that has to be asked for: what to do, or what is in the way. */
public final class Remedy {
    private Remedy() {
    }

    /** The answer; when asking fails too it is left out, and never hides what failed first. */
    public static String of(Supplier<String> asked) {
        try {
            return asked.get();
        } catch (RuntimeException alsoFailed) {
            return "";
        }
    }
}
