package dev.kvmvfio.mock;

/**
 * The mock kernel was asked for something that a real kernel does and this model deliberately does not. It says so
 * instead of guessing an answer.
 */
public final class NotModelledException extends UnsupportedOperationException {
    private static final long serialVersionUID = 1;

    /**
     * Names what is missing.
     *
     * @param what the call or the argument that is not modelled
     */
    public NotModelledException(String what) {
        super(what + " is not modelled by the mock kernel");
    }
}
