package dev.kvmvfio.vfio;

import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.FileHandle;

/** A file of VFIO that KVM can be told about: a device's cdev, or a group. */
public abstract sealed class VfioFile extends FileHandle permits VfioCdev, VfioGroup {
    VfioFile(FileDescriptor fd) {
        super(fd, Rank.FILE);
    }

    /** The kernel would take both, and tell devices of the later one only. */
    void checkRegistration(KvmVfioDevice kvmVfio) {
        if (Lifecycle.children(this, Registration.class).stream().anyMatch(other -> other.kvmVfio() != kvmVfio)) {
            throw new IllegalStateException(this + " is registered with another VM: close that registration first");
        }
    }
}
