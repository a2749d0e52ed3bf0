package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.Handle;
import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import org.jspecify.annotations.Nullable;

/**
 * Reports handles that a program dropped without closing them. It has no thread of its own: it looks whenever a handle is
 * opened that belongs to no other.
 */
final class Dropped {
    private static final String PROPERTY = "dev.kvmvfio.leaks";
    private static final Level LEVEL = level(System.getProperty(PROPERTY, "simple"));
    private static final ReferenceQueue<Handle> QUEUE = new ReferenceQueue<>();
    /** The last of those that are open, which would be collected otherwise. */
    private static @Nullable Watch last;

    private enum Level {
        OFF, SIMPLE, TRACE
    }

    /** Knows of a handle what a report says. A file would keep its kernel, and that an observer that knows the handle. */
    static final class Watch extends PhantomReference<Handle> {
        private final String name;
        private final int number;
        private final @Nullable Throwable opened;
        private @Nullable Watch before;
        private @Nullable Watch after;
        private boolean open;

        private Watch(Handle handle, String name, int number) {
            super(handle, QUEUE);
            this.name = name;
            this.number = number;
            opened = LEVEL == Level.TRACE ? new Throwable("opened here") : null;
        }

        /** It is closed, or belongs to another one, which is watched. */
        void end() {
            remove(this);
            clear();
        }

        private void report() {
            if (remove(this)) {
                System.getLogger("dev.kvmvfio").log(System.Logger.Level.WARNING,
                        name + (number < 0 ? "" : " (fd " + number + ")") + " was dropped while it was open:"
                                + " what it holds stays until the program ends. Close it"
                                + (opened == null ? "; -D" + PROPERTY + "=trace tells where it was opened" : ""),
                        opened);
            }
        }
    }

    private Dropped() {
    }

    private static Level level(String name) {
        for (Level level : Level.values()) {
            if (level.name().equalsIgnoreCase(name)) {
                return level;
            }
        }
        System.getLogger("dev.kvmvfio").log(System.Logger.Level.WARNING,
                "-D" + PROPERTY + "=" + name + " is none of off, simple and trace: it counts as simple");
        return Level.SIMPLE;
    }

    /**
     * Watches a handle that belongs to no other; null when nothing is watched.
     *
     * @param name what names it in a report
     * @param number of its file; negative when it has none
     */
    static @Nullable Watch watch(Handle handle, String name, int number) {
        if (LEVEL == Level.OFF) {
            return null;
        }
        for (Object dropped; (dropped = QUEUE.poll()) != null;) {
            report((Watch) dropped);
        }
        Watch watch = new Watch(handle, name, number);
        add(watch);
        return watch;
    }

    /** What a logger throws is of no concern to who opens something now. */
    private static void report(Watch dropped) {
        try {
            dropped.report();
        } catch (Throwable failure) {
            Failures.report(failure);
        }
    }

    private static synchronized void add(Watch watch) {
        watch.open = true;
        watch.before = last;
        if (last != null) {
            last.after = watch;
        }
        last = watch;
    }

    private static synchronized boolean remove(Watch watch) {
        if (!watch.open) {
            return false;
        }
        watch.open = false;
        if (watch.before != null) {
            watch.before.after = watch.after;
        }
        if (watch.after == null) {
            last = watch.before;
        } else {
            watch.after.before = watch.before;
        }
        return true;
    }
}
