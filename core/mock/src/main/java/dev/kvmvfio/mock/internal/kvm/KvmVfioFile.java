package dev.kvmvfio.mock.internal.kvm;

/** A file that can be told which virtual machine it is used for: a group's or a device's. */
public interface KvmVfioFile {
    /** Whether it is a group's; older kernels take no other. */
    boolean isGroup();

    /** The machine, or null for none. No reference is taken. */
    void setVm(VirtualMachine vm);
}
