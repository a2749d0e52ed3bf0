package dev.kvmvfio.kvm;

import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.FileDescriptor;

/**
 * A device that KVM models in the kernel, driven through its attributes. It belongs to the VM that created it; it goes
 * on working while its own file is open.
 */
public final class KvmDevice extends KvmFile {
    private final KvmDeviceType type;

    KvmDevice(FileDescriptor fd, KvmDeviceType type) {
        super(fd, Rank.FILE);
        this.type = type;
    }

    /**
     * What kind of device it is.
     *
     * @return as it was created
     */
    public KvmDeviceType type() {
        return type;
    }
}
