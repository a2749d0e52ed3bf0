package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.MappedMemory;

/**
 * Keeps things of two kernels apart: what is passed from one to the other is a number or an address, which is something
 * else there, or nothing. Kernels that observe the same one are that one; a program's own kernel is one of its own, also
 * when it asks another.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class OneKernel {
    private OneKernel() {
    }

    /**
     * Checks a file whose number a call passes.
     *
     * @param user the file that the call is made on
     * @param used the other file
     * @throws IllegalArgumentException when it is of another kernel
     */
    public static void require(FileDescriptor user, FileDescriptor used) {
        require(user, user.kernel(), used, used.kernel());
    }

    /**
     * Checks memory whose address a call passes.
     *
     * @param user the file that the call is made on
     * @param used the memory
     * @throws IllegalArgumentException when it is of another kernel
     */
    public static void require(FileDescriptor user, MappedMemory used) {
        require(user, user.kernel(), used, used.kernel());
    }

    /**
     * Checks anything.
     *
     * @param user what needs the other
     * @param kernel the kernel that it is of
     * @param used the other
     * @param other the kernel that this is of
     * @throws IllegalArgumentException when they are of two kernels
     */
    public static void require(Object user, Kernel kernel, Object used, Kernel other) {
        KernelAccess.get().requireSame(user, kernel, used, other);
    }
}
