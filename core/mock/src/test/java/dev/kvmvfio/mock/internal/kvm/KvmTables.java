package dev.kvmvfio.mock.internal.kvm;

import dev.kvmvfio.mock.internal.system.IoctlTable;

/** Lets tests elsewhere see which ioctls the files of KVM answer. */
public final class KvmTables {
    public static final IoctlTable<?> SYSTEM = KvmSystemFile.IOCTLS;
    public static final IoctlTable<?> VM = VmFile.IOCTLS;
    public static final IoctlTable<?> VCPU = VcpuFile.IOCTLS;

    private KvmTables() {
    }
}
