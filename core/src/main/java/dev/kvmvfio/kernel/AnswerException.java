package dev.kvmvfio.kernel;

/**
 * The kernel did what it was asked, or said so, and answered what cannot be: a count of more than there is room for, a
 * file of sysfs whose text is no number, a part of what it was given to write. The kernel is broken, or is not the one that
 * this library knows; what the call did may have happened.
 */
public final class AnswerException extends KvmVfioException {
    private static final long serialVersionUID = 1;

    /**
     * Describes an answer.
     *
     * @param operation the call, such as {@code KVM_GET_VCPU_MMAP_SIZE} or {@code read}
     * @param target the file that it was made on
     * @param answer what the kernel answered, and why that cannot be
     */
    public AnswerException(String operation, Object target, String answer) {
        super(operation + " on " + target + " answered " + answer, "");
    }
}
