package dev.kvmvfio.kernel;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * Something of the kernel that a program owns and gives back with {@link #close()}. Handles form a tree: what was made
 * from a handle is its child, and a handle closes its children, the youngest first, before itself.
 *
 * <p>Closing twice does nothing. When several steps of a close fail, all of them are still tried; the first exception
 * is thrown and the others are its suppressed ones.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread. A handle that is being closed by one thread
 * counts as closed for every other. Closes run one after the other: when a close returns, all of it is done, whichever
 * thread did it.
 */
public abstract class Handle implements AutoCloseable {
    /** One for all handles, because they have several parents and a close goes up the tree as well as down. */
    private static final ReentrantLock CLOSING = new ReentrantLock();

    private final List<Handle> children = new ArrayList<>();
    private final List<Handle> parents = new ArrayList<>();
    private boolean closed;

    /** For the types of this library; a handle of its own helps no program. */
    protected Handle() {
    }

    /**
     * Makes a handle this one's child, so that it is closed before this one. A handle may have several parents: a DMA
     * mapping has its address space and its memory.
     *
     * @param <H> the child's type
     * @param child the new child; closed at once when this handle is closed already
     * @return the child
     * @throws IllegalStateException when this handle is closed, or the child was closed meanwhile
     */
    public final <H extends Handle> H adopt(H child) {
        synchronized (this) {
            if (!closed) {
                if (!((Handle) child).addParent(this)) {
                    throw new IllegalStateException(child + " is closed");
                }
                children.add(child);
                return child;
            }
        }
        child.close();
        throw new IllegalStateException(this + " is closed");
    }

    /** A closed child leaves its parents no more, so it must not join one. */
    private synchronized boolean addParent(Handle parent) {
        return !closed && parents.add(parent);
    }

    private synchronized void disown(Handle child) {
        children.remove(child);
    }

    /**
     * Whether this handle is still open.
     *
     * @return false from the moment that a close begins
     */
    public final synchronized boolean isOpen() {
        return !closed;
    }

    /**
     * The children that are open now.
     *
     * @return a copy, the oldest first
     */
    protected final synchronized List<Handle> children() {
        return List.copyOf(children);
    }

    /**
     * Why this handle cannot be closed now, for handles that others rely on without being their children.
     *
     * @return the reason, or null when it can be closed
     */
    protected String reasonToStayOpen() {
        return null;
    }

    /** Stops what must not go on while the children are being closed. Called before them, and may be called again. */
    protected void quiesce() {
    }

    /** Stops what must not go on in any child. */
    protected final void quiesceChildren() {
        Failures failures = new Failures();
        children().forEach(child -> failures.attempt(child::quiesce));
        failures.throwFirst();
    }

    /**
     * Closes the children, the youngest first, then this handle.
     *
     * @throws IllegalStateException when something that must not outlive this handle still uses it; nothing is closed
     * @throws KernelException the first failure, when the kernel refused a step; everything is closed all the same
     */
    @Override
    public final void close() {
        CLOSING.lock();
        try {
            closeAlone();
        } finally {
            CLOSING.unlock();
        }
    }

    private void closeAlone() {
        List<Handle> open;
        synchronized (this) {
            if (closed) {
                return;
            }
            String reason = reasonToStayOpen();
            if (reason != null) {
                throw new IllegalStateException(reason);
            }
            closed = true;
            open = List.copyOf(children);
        }
        Failures failures = new Failures();
        failures.attempt(this::quiesce);
        open.reversed().forEach(child -> failures.attempt(child::close));
        failures.attempt(this::release);
        parents().forEach(parent -> parent.disown(this));
        failures.throwFirst();
    }

    private synchronized List<Handle> parents() {
        return List.copyOf(parents);
    }

    /**
     * Does the rest of an opening. When that fails the handle is closed, and what went wrong first is thrown.
     *
     * @param <H> the handle's type
     * @param handle what was just opened
     * @param rest what must work for it to be of use
     * @return the handle
     */
    protected static <H extends Handle> H complete(H handle, Consumer<? super H> rest) {
        try {
            rest.accept(handle);
            return handle;
        } catch (RuntimeException failure) {
            Failures failures = new Failures(failure);
            failures.attempt(handle::close);
            throw failure;
        }
    }

    /** Gives back what this handle alone holds. Called once, after the children were closed. */
    protected abstract void release();

    /** Collects what goes wrong while several things must all be tried. */
    public static final class Failures {
        private RuntimeException first;

        /** Nothing has failed yet. */
        public Failures() {
        }

        /**
         * Something has failed, and now the rest must be undone.
         *
         * @param first what failed
         */
        public Failures(RuntimeException first) {
            this.first = first;
        }

        /**
         * Runs a step and keeps what it throws.
         *
         * @param step the step
         */
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
}
