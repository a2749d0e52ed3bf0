package dev.kvmvfio.vfio;

import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Handle;

/** A file of VFIO that KVM can be told about: a device's cdev, or a group. */
public abstract sealed class VfioFile extends Handle permits VfioCdev, VfioGroup {
    private final FileDescriptor fd;

    VfioFile(FileDescriptor fd) {
        this.fd = fd;
    }

    /**
     * The open file, for an ioctl that this library does not wrap.
     *
     * @return owned by this object
     */
    public final FileDescriptor fd() {
        return fd;
    }

    @Override
    protected void release() {
        fd.close();
    }

    @Override
    public String toString() {
        return fd.toString();
    }
}
