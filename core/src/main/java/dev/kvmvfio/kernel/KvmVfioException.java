package dev.kvmvfio.kernel;

import java.util.Objects;

/**
 * What this library throws when the host, its kernel or the guest cannot do what was asked. The message says what failed and on
 * which device; {@link #remedy()} says what to do about it.
 *
 * <p>Mistakes of the calling program are {@link IllegalArgumentException} and {@link IllegalStateException} instead.
 */
public abstract sealed class KvmVfioException extends RuntimeException
        permits KernelException, AnswerException, HostException, GuestException {
    private static final long serialVersionUID = 1;

    private final String remedy;

    KvmVfioException(String message, String remedy) {
        super(remedy.isEmpty() ? message : message + ". " + remedy);
        this.remedy = remedy;
    }

    /**
     * What failed, and what to do about it.
     *
     * @return never null
     */
    @Override
    public final String getMessage() {
        return Objects.requireNonNull(super.getMessage());
    }

    /**
     * What a person can do about it.
     *
     * @return a sentence, which the message ends with; empty when no cause is known
     */
    public final String remedy() {
        return remedy;
    }
}
