package dev.kvmvfio.kernel;

/**
 * Thrown by what is called on a handle, or on a file, that is closed or being closed, and by nothing else. A program that
 * unplugs a device on one thread while another one uses it expects it there.
 */
public final class ClosedException extends IllegalStateException {
    private static final long serialVersionUID = 1;

    /**
     * Says what is closed.
     *
     * @param closed as it is named in messages
     */
    public ClosedException(Object closed) {
        super(closed + " is closed");
    }
}
