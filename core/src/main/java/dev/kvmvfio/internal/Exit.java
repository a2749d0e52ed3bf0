package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.Handle;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The end of the program. A thread that calls {@link System#exit} in a callback of this library, such as an observer,
 * never returns from it, because the shutdown hooks run first: a hook that closes things must not wait for that thread.
 */
final class Exit {
    /** How long to wait before looking for such a thread. */
    static final long PATIENCE_NANOS = 200_000_000;

    private static final List<String> EXIT = List.of("java.lang.Shutdown");
    /** One of them is on the stack of whoever is in a call, a close or a callback. */
    private static final List<String> LIBRARY = List.of(Handle.class.getPackageName() + ".",
            Lifecycle.class.getPackageName() + ".");

    private Exit() {
    }

    /**
     * Whether a wait may go on.
     *
     * @throws IllegalStateException when the program ends and a thread that ends it is in this library
     */
    static void requireNobodyWithin(Handle handle) {
        if (hasBegun()) {
            for (Map.Entry<Thread, StackTraceElement[]> thread : Thread.getAllStackTraces().entrySet()) {
                if (isIn(EXIT, thread.getValue()) && isIn(LIBRARY, thread.getValue())) {
                    throw new IllegalStateException(handle + " is left to the kernel: the program ends, by "
                            + thread.getKey() + ", which is in the middle of a call or a close and never goes on");
                }
            }
        }
    }

    private static boolean isIn(List<String> prefixes, StackTraceElement[] stack) {
        return Stream.of(stack).map(StackTraceElement::getClassName)
                .anyMatch(type -> prefixes.stream().anyMatch(type::startsWith));
    }

    /** The JVM tells by refusing what concerns its hooks. */
    private static boolean hasBegun() {
        try {
            Runtime.getRuntime().removeShutdownHook(Thread.ofPlatform().unstarted(() -> {
            }));
            return false;
        } catch (IllegalStateException ending) {
            return true;
        }
    }
}
