package dev.kvmvfio.mock;

import dev.kvmvfio.kernel.Errno;

/**
 * A call that was made on the mock kernel, decoded.
 *
 * @param operation the system call, such as {@code ioctl}
 * @param file what it was made on: the path of a node, words such as {@code KVM VM}, or empty
 * @param name the call's own name: for an ioctl its request, such as {@code KVM_CREATE_VM}, or for a file handed to
 *        KVM {@code KVM_DEV_VFIO_FILE_ADD}; otherwise the system call
 * @param arguments its arguments, for reading; a field that the call changed shows both values
 * @param result what the program got: zero or more, or a negative errno
 */
public record RecordedCall(String operation, String file, String name, String arguments, long result) {
    /**
     * How the call failed.
     *
     * @return the errno, or null when it succeeded
     */
    public Errno errno() {
        return result < 0 ? Errno.of((int) -result) : null;
    }

    @Override
    public String toString() {
        String call = operation.equals(name) ? name : operation + " " + name;
        return call + (file.isEmpty() ? "" : " on " + file) + (arguments.isEmpty() ? "" : " {" + arguments + "}")
                + " = "
                + (result < 0 ? "-" + errno().name() : Long.toString(result));
    }
}
