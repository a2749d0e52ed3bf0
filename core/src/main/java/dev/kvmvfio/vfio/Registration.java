package dev.kvmvfio.vfio;

import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.Handle;
import java.util.List;

/**
 * A VFIO file that KVM knows of. Only through a registration is a device opened for a VM, so a program that opens the
 * device too early does not compile.
 *
 * <p>Closing it first closes the devices that were opened through it and then takes it from KVM
 * ({@code KVM_DEV_VFIO_FILE_DEL}).
 *
 * @param <F> the kind of file
 */
public abstract sealed class Registration<F extends VfioFile> extends Handle permits RegisteredCdev, RegisteredGroup {
    private final KvmVfioDevice kvmVfio;
    private final F file;
    private final Added added = new Added();

    /** That KVM knows of the file. It is the first child, and so the last that is closed. */
    private final class Added extends Handle {
        Added() {
            super(Rank.LINK);
        }

        @Override
        protected void release() {
            kvmVfio.delete(file);
        }

        @Override
        public String toString() {
            return Registration.this.toString();
        }
    }

    Registration(KvmVfioDevice kvmVfio, F file) {
        super(Rank.REGISTRATION);
        this.kvmVfio = kvmVfio;
        this.file = file;
    }

    final void add() {
        Lifecycle.make(added, () -> kvmVfio.register(file), this);
    }

    /**
     * The file that KVM knows of.
     *
     * @return as it was added
     */
    public final F file() {
        return file;
    }

    /**
     * The device of KVM that it was added to.
     *
     * @return the owner of this registration
     */
    public final KvmVfioDevice kvmVfio() {
        return kvmVfio;
    }

    /** A device that was opened through this registration is about to close its file; false when it must wait. */
    abstract boolean deviceCloses();

    /** Takes the file from KVM; the kernel wants this done while the file is still open. */
    final boolean unregister() {
        return Lifecycle.closeAll(List.of(added));
    }

    @Override
    public String toString() {
        return file + " registered with " + kvmVfio;
    }
}
