package dev.kvmvfio.vfio;

import dev.kvmvfio.kernel.Handle;

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
    private boolean registered = true;

    Registration(KvmVfioDevice kvmVfio, F file) {
        this.kvmVfio = kvmVfio;
        this.file = file;
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

    /** The kernel would open the device all the same, and the VM would not know of it. */
    final void checkOpen() {
        if (!isOpen()) {
            throw new IllegalStateException(this + " is closed");
        }
    }

    /** A device that was opened through this registration is about to close its file. */
    abstract void deviceCloses();

    /** Takes the file from KVM; the kernel wants this done while the file is still open. */
    final void unregister() {
        synchronized (this) {
            if (!registered) {
                return;
            }
            registered = false;
        }
        kvmVfio.delete(file);
    }

    @Override
    protected final void release() {
        unregister();
    }

    @Override
    public String toString() {
        return file + " registered with " + kvmVfio;
    }
}
