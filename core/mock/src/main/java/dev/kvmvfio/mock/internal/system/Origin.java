package dev.kvmvfio.mock.internal.system;

import dev.kvmvfio.kernel.Kernel;
import java.security.CodeSource;
import org.jspecify.annotations.Nullable;

/** The line of the program that a call came from: the one that called the library, or the mock itself. */
record Origin(@Nullable StackTraceElement line) {
    private static final StackWalker WALKER = StackWalker.getInstance(StackWalker.Option.RETAIN_CLASS_REFERENCE);

    static Origin ofThisCall() {
        return new Origin(WALKER.walk(frames -> frames.filter(frame -> isOfTheProgram(frame.getDeclaringClass()))
                .map(StackWalker.StackFrame::toStackTraceElement).findFirst().orElse(null)));
    }

    private static boolean isOfTheProgram(Class<?> type) {
        return type.getClassLoader() != null && !isFrom(Kernel.class, type) && !isFrom(Origin.class, type);
    }

    private static boolean isFrom(Class<?> known, Class<?> type) {
        return source(known).equals(source(type));
    }

    /** Where a class was loaded from; JShell's are from nowhere. */
    private static String source(Class<?> type) {
        CodeSource source = type.getProtectionDomain().getCodeSource();
        return source == null ? "" : String.valueOf(source.getLocation());
    }

    /** Empty when the program is not to be told from the library. */
    @Override
    public String toString() {
        return line == null ? "" : "\n      at " + line;
    }
}
