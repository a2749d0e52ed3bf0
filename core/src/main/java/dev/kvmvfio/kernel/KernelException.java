package dev.kvmvfio.kernel;

/** A system call that the kernel refused: which call, on which file, with which arguments, and its errno. */
public non-sealed class KernelException extends KvmVfioException {
    private static final long serialVersionUID = 1;

    private final String operation;
    private final int errno;

    /**
     * A refused call with no known cause.
     *
     * @param operation the call, such as {@code KVM_CREATE_VM}
     * @param target the file it was made on
     * @param result what the call returned, a negative errno
     */
    public KernelException(String operation, Object target, long result) {
        this(operation, target, "", result, "");
    }

    /**
     * A refused call.
     *
     * @param operation the call, such as {@code KVM_CREATE_VM}
     * @param target the file it was made on
     * @param arguments its arguments, decoded for reading; may be empty
     * @param result what the call returned, a negative errno
     * @param remedy what to do about it; empty when no cause is known
     */
    public KernelException(String operation, Object target, String arguments, long result, String remedy) {
        super(operation + " on " + target + (arguments.isEmpty() ? "" : " {" + arguments + "}") + ": "
                + Errno.describe((int) -result), remedy);
        this.operation = operation;
        this.errno = (int) -result;
    }

    /**
     * The call that was refused.
     *
     * @return such as {@code KVM_CREATE_VM}
     */
    public String operation() {
        return operation;
    }

    /**
     * The kernel's answer.
     *
     * @return the errno; {@link Errno#UNKNOWN} for a number that has no name
     */
    public Errno errno() {
        return Errno.of(errno);
    }
}
