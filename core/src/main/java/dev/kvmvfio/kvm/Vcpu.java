package dev.kvmvfio.kvm;

import dev.kvmvfio.kernel.FileDescriptor;

/** A virtual processor. It belongs to the VM that created it. */
public final class Vcpu extends KvmFile {
    private final int id;

    Vcpu(FileDescriptor fd, int id) {
        super(fd);
        this.id = id;
    }

    /**
     * The number that it was created with.
     *
     * @return unique within its VM
     */
    public int id() {
        return id;
    }
}
