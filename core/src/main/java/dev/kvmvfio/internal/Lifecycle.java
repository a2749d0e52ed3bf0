package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.Handle;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * The life of a handle: who its parents and children are, and how it ends. The handle's type says what is to be stopped
 * and given back.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class Lifecycle {
    /** One for all handles, because they have several parents and a close goes up the tree as well as down. */
    private static final ReentrantLock CLOSING = new ReentrantLock();

    private final List<Handle> children = new ArrayList<>();
    private final List<Handle> parents = new ArrayList<>();
    private boolean closed;

    /** Begins the life of a handle, which is open and has nobody. */
    public Lifecycle() {
    }

    private static Lifecycle of(Handle handle) {
        return KernelAccess.get().lifecycle(handle);
    }

    /**
     * Makes a handle the child of others, one after the other, so that it is closed before each of them. A DMA mapping
     * has its address space and its memory.
     *
     * @return the child; it is closed at once when a parent is closed already
     * @throws IllegalStateException when a parent is closed, or the child was closed meanwhile
     */
    public static <H extends Handle> H adopt(H child, Handle... parents) {
        for (Handle parent : parents) {
            join(parent, child);
        }
        return child;
    }

    private static void join(Handle parent, Handle child) {
        Lifecycle life = of(parent);
        synchronized (parent) {
            if (!life.closed) {
                if (!addParent(child, parent)) {
                    throw new IllegalStateException(child + " is closed");
                }
                life.children.add(child);
                return;
            }
        }
        child.close();
        throw new IllegalStateException(parent + " is closed");
    }

    /** A closed child leaves its parents no more, so it must not join one. */
    private static boolean addParent(Handle child, Handle parent) {
        Lifecycle life = of(child);
        synchronized (child) {
            return !life.closed && life.parents.add(parent);
        }
    }

    private static void leave(Handle parent, Handle child) {
        Lifecycle life = of(parent);
        synchronized (parent) {
            life.children.remove(child);
        }
    }

    private static List<Handle> parents(Handle child) {
        Lifecycle life = of(child);
        synchronized (child) {
            return List.copyOf(life.parents);
        }
    }

    /** The children that are open now, the oldest first: a copy. */
    public static List<Handle> children(Handle parent) {
        Lifecycle life = of(parent);
        synchronized (parent) {
            return List.copyOf(life.children);
        }
    }

    /** The children of one type that are open now, the oldest first: a copy. */
    public static <H extends Handle> List<H> children(Handle parent, Class<H> type) {
        return children(parent).stream().filter(type::isInstance).map(type::cast).toList();
    }

    /** Stops what must not go on while a handle is being given back. */
    public static void quiesce(Handle handle) {
        KernelAccess.get().quiesce(handle);
    }

    /** Stops what must not go on in any child. */
    public static void quiesceChildren(Handle parent) {
        Failures failures = new Failures();
        children(parent).forEach(child -> failures.attempt(() -> quiesce(child)));
        failures.throwFirst();
    }

    /** Does the rest of an opening. When that fails the handle is closed, and what went wrong first is thrown. */
    public static <H extends Handle> H complete(H handle, Consumer<? super H> rest) {
        try {
            rest.accept(handle);
            return handle;
        } catch (RuntimeException failure) {
            Failures failures = new Failures(failure);
            failures.attempt(handle::close);
            throw failure;
        }
    }

    /** False from the moment that a close begins. */
    public static boolean isOpen(Handle handle) {
        Lifecycle life = of(handle);
        synchronized (handle) {
            return !life.closed;
        }
    }

    /** Closes the children, the youngest first, then the handle. */
    public static void close(Handle handle) {
        CLOSING.lock();
        try {
            closeAlone(handle, of(handle));
        } finally {
            CLOSING.unlock();
        }
    }

    private static void closeAlone(Handle handle, Lifecycle life) {
        KernelAccess hooks = KernelAccess.get();
        List<Handle> open;
        synchronized (handle) {
            if (life.closed) {
                return;
            }
            hooks.reasonToStayOpen(handle).ifPresent(reason -> {
                throw new IllegalStateException(reason);
            });
            life.closed = true;
            open = List.copyOf(life.children);
        }
        Failures failures = new Failures();
        failures.attempt(() -> hooks.quiesce(handle));
        open.reversed().forEach(child -> failures.attempt(child::close));
        failures.attempt(() -> hooks.release(handle));
        parents(handle).forEach(parent -> leave(parent, handle));
        failures.throwFirst();
    }
}
