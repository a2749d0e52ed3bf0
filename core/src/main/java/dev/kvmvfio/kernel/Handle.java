package dev.kvmvfio.kernel;

import dev.kvmvfio.internal.KernelAccess;
import dev.kvmvfio.internal.Lifecycle;
import java.util.List;

/**
 * Something of the kernel that a program owns and gives back with {@link #close()}. Handles form a net: a handle belongs
 * to what it was made from and to what it uses, and is closed with each of them. A memory slot belongs to its VM and to
 * its memory, so both closes take it out of the guest first. Nothing refuses to close because of the order.
 *
 * <p>A close gives back the handles that belong to this one, the youngest first, then this one. Closing twice does
 * nothing. When the kernel refuses a step, the close goes on with the others and throws at its end: the first exception,
 * with the others suppressed. What was refused stays, with all that it needs, and counts as closed for every other call;
 * another {@code close()}, after this one, goes on with it. A program that uses try-with-resources and catches such an
 * exception closes the outermost handle once more.
 *
 * <p>A close that is made while this thread is within a call of the library, such as in the observer of a call or in a
 * listener, waits for nobody. What it cannot do there, the same thread does when it is out of the call, and
 * {@link #isOpen()} is false at once. What the kernel refuses then is told to the thread's
 * {@link Thread.UncaughtExceptionHandler}, because the call has nothing to do with it; another {@code close()} goes on.
 *
 * <p>A shutdown hook may close handles while other threads use them. A thread that calls {@link System#exit} within a call
 * or a close, such as in an observer, never goes on, so a close that would wait for it while the program ends is an
 * {@link IllegalStateException}; the kernel takes back what is left with the process.
 *
 * <p>A program that drops a handle without closing it loses what the handle holds until the program ends: files stay open
 * and memory stays mapped, pinned and reachable for devices. A handle that belongs to no other one is then reported to the
 * {@link System.Logger} {@code dev.kvmvfio}, when the next such handle is opened after the garbage collector found out. The
 * system property {@code dev.kvmvfio.leaks} says how: {@code simple}, the default; {@code trace}, with the place that
 * opened it; {@code off}, which costs nothing.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread. A handle that is being closed by one thread counts
 * as closed for every other, which then gets a {@link ClosedException}. When a close returns, all of it is done,
 * whichever thread did it; a file's number goes back to the kernel when the last call on the file has returned. It waits
 * for calls that use what it gives back, and for nothing else.
 */
public abstract class Handle implements AutoCloseable {
    static {
        KernelAccess.set(new KernelAccess() {
            @Override
            protected Lifecycle lifecycle(Handle handle) {
                return handle.life;
            }

            @Override
            protected boolean quiesce(Handle handle) {
                return handle.quiesce();
            }

            @Override
            protected boolean settle(Handle handle) {
                return handle.settle();
            }

            @Override
            protected void release(Handle handle) {
                handle.release();
            }

            @Override
            protected String name(FileDescriptor fd) {
                return fd.name();
            }

            @Override
            public boolean isGivenBack(FileDescriptor fd) {
                return fd.isGivenBack();
            }

            @Override
            public boolean isInUse(FileDescriptor fd) {
                return fd.isInUse();
            }

            @Override
            public FileDescriptor own(FileDescriptor maker, int number, FileKind kind, String name) {
                return FileDescriptor.ownMadeBy(maker, number, kind, name);
            }

            @Override
            protected void requireSame(Object user, Kernel kernel, Object used, Kernel other) {
                ObservedKernel.requireSame(user, kernel, used, other);
            }
        });
    }

    private final Lifecycle life;

    /**
     * For the types of this library; a handle of its own helps no program.
     *
     * @param rank where its type stands in the order of closing: it closes, and waits for, only what has a greater one
     */
    protected Handle(int rank) {
        life = new Lifecycle(rank);
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
     * What belongs to this handle, directly and through others, and is closed with it.
     *
     * @return a copy, each once; what the kernel refused to give back is among them
     */
    public final List<Handle> openHandles() {
        return Lifecycle.below(this);
    }

    /**
     * Closes what belongs to this handle, the youngest first, then this handle.
     *
     * @throws KernelException the first failure, when the kernel refused a step; everything else is closed all the same,
     *         and another close goes on with what was refused
     */
    @Override
    public final void close() {
        Lifecycle.close(this);
    }

    /**
     * Stops what must not go on while the children are being closed. Called before them, and again until it answers
     * true. When it throws nothing below is given back.
     *
     * @return whether it has stopped
     */
    protected boolean quiesce() {
        return true;
    }

    /**
     * Ends what still uses this handle itself. Called after the children were closed, and again until it answers true.
     *
     * @return whether nothing uses it any more
     */
    protected boolean settle() {
        return true;
    }

    /**
     * Gives back what this handle alone holds: at most one step that the kernel can refuse, so that it can be tried again.
     * Called when the children were closed.
     */
    protected void release() {
    }
}
