package dev.kvmvfio.kernel;

import dev.kvmvfio.internal.KernelAccess;
import dev.kvmvfio.internal.Lifecycle;
import java.util.Optional;

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
    static {
        KernelAccess.set(new KernelAccess() {
            @Override
            protected Lifecycle lifecycle(Handle handle) {
                return handle.life;
            }

            @Override
            protected Optional<String> reasonToStayOpen(Handle handle) {
                return handle.reasonToStayOpen();
            }

            @Override
            protected void quiesce(Handle handle) {
                handle.quiesce();
            }

            @Override
            protected void release(Handle handle) {
                handle.release();
            }

            @Override
            public boolean isInUse(FileDescriptor fd) {
                return fd.isInUse();
            }
        });
    }

    private final Lifecycle life = new Lifecycle();

    /** For the types of this library; a handle of its own helps no program. */
    protected Handle() {
    }

    /**
     * Whether this handle is still open.
     *
     * @return false from the moment that a close begins
     */
    public final boolean isOpen() {
        return Lifecycle.isOpen(this);
    }

    /**
     * Closes the children, the youngest first, then this handle.
     *
     * @throws IllegalStateException when something that must not outlive this handle still uses it; nothing is closed
     * @throws KernelException the first failure, when the kernel refused a step; everything is closed all the same
     */
    @Override
    public final void close() {
        Lifecycle.close(this);
    }

    /**
     * Why this handle cannot be closed now, for handles that others rely on without being their children.
     *
     * @return the reason; empty when it can be closed
     */
    protected Optional<String> reasonToStayOpen() {
        return Optional.empty();
    }

    /** Stops what must not go on while the children are being closed. Called before them, and may be called again. */
    protected void quiesce() {
    }

    /** Gives back what this handle alone holds. Called once, after the children were closed. */
    protected abstract void release();
}
