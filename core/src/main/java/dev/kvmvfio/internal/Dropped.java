package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.Handle;
import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * Reports handles that a program dropped without closing them. It has no thread of its own: it looks whenever a handle is
 * opened that belongs to no other.
 */
final class Dropped {
    private static final String PROPERTY = "dev.kvmvfio.leaks";
    private static final Level LEVEL = Level.valueOf(System.getProperty(PROPERTY, "simple").toUpperCase(Locale.ROOT));
    private static final ReferenceQueue<Handle> QUEUE = new ReferenceQueue<>();
    private static final Set<Watch> OPEN = ConcurrentHashMap.newKeySet();

    private enum Level {
        OFF, SIMPLE, TRACE
    }

    /** Knows of a handle what a report says, and keeps nothing of it alive. */
    static final class Watch extends PhantomReference<Handle> {
        private final Object name;
        private final @Nullable Throwable opened;

        private Watch(Handle handle, Object name) {
            super(handle, QUEUE);
            this.name = name;
            opened = LEVEL == Level.TRACE ? new Throwable("opened here") : null;
        }

        /** It is closed, or belongs to another one, which is watched. */
        void end() {
            OPEN.remove(this);
            clear();
        }

        private void report() {
            if (OPEN.remove(this)) {
                System.getLogger("dev.kvmvfio").log(System.Logger.Level.WARNING,
                        name + " was dropped while it was open:"
                                + " what it holds stays until the program ends. Close it"
                                + (opened == null ? "; -D" + PROPERTY + "=trace tells where it was opened" : ""),
                        opened);
            }
        }
    }

    private Dropped() {
    }

    /** Watches a handle that belongs to no other, with what names it in a report; null when nothing is watched. */
    static @Nullable Watch watch(Handle handle, Object name) {
        if (LEVEL == Level.OFF) {
            return null;
        }
        for (Object dropped; (dropped = QUEUE.poll()) != null;) {
            ((Watch) dropped).report();
        }
        Watch watch = new Watch(handle, name);
        OPEN.add(watch);
        return watch;
    }
}
