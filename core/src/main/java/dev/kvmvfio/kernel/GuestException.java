package dev.kvmvfio.kernel;

/** The guest cannot go on: it did something that the program has no answer to, or its state is broken. */
public non-sealed class GuestException extends KvmVfioException {
    private static final long serialVersionUID = 1;

    /**
     * Describes what stopped the guest.
     *
     * @param message what happened, on which vCPU
     * @param remedy what to do; empty when that is not known
     */
    public GuestException(String message, String remedy) {
        super(message, remedy);
    }
}
