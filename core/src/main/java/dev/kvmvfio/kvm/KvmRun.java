package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.MappedMemory;

/** The memory that a vCPU shares with the kernel: {@code struct kvm_run} and what follows it. */
final class KvmRun extends MappedMemory {
    private final FileDescriptor vcpu;

    private KvmRun(FileDescriptor vcpu, long address, long size) {
        super(vcpu.kernel(), address, size);
        this.vcpu = vcpu;
    }

    static KvmRun map(FileDescriptor vcpu, long size) {
        long address = vcpu.mmap(size, system_h.PROT_READ() | system_h.PROT_WRITE(), system_h.MAP_SHARED(), 0);
        if (address < 0) {
            throw new KernelException("mmap", vcpu, "length=" + size, address, "");
        }
        return new KvmRun(vcpu, address, size);
    }

    @Override
    public String toString() {
        return "kvm_run of " + vcpu;
    }
}
