package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.FileKind;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Kernel;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What the package {@code kernel} opens to this library and to nobody else, as the JDK's SharedSecrets do for its own
 * packages: a public member would be offered to users on every handle.
 */
public abstract class KernelAccess {
    private static @Nullable KernelAccess instance;

    /** For the one implementation. */
    protected KernelAccess() {
    }

    /** Called when {@link Handle} is initialized, so it is there before the first handle. */
    public static void set(KernelAccess access) {
        instance = access;
    }

    /** The one implementation. */
    public static KernelAccess get() {
        return Objects.requireNonNull(instance);
    }

    /** The life of a handle. */
    protected abstract Lifecycle lifecycle(Handle handle);

    /** Calls a handle's hook. */
    protected abstract boolean quiesce(Handle handle);

    /** Calls a handle's hook. */
    protected abstract boolean settle(Handle handle);

    /** Calls a handle's hook. */
    protected abstract void release(Handle handle);

    /** What a file is, without its number. */
    protected abstract String name(FileDescriptor fd);

    /** Whether the kernel has a file's number back: the last call that used it may give it back after the close. */
    public abstract boolean isGivenBack(FileDescriptor fd);

    /** Whether a call that uses a file's number runs now; after the close there is at most what was running. */
    public abstract boolean isInUse(FileDescriptor fd);

    /** Takes ownership of a number that an ioctl of a file returned: what the number is may depend on that file. */
    public abstract FileDescriptor own(FileDescriptor maker, int number, FileKind kind, String name);

    /** Refuses two things of two kernels. */
    protected abstract void requireSame(Object user, Kernel kernel, Object used, Kernel other);
}
