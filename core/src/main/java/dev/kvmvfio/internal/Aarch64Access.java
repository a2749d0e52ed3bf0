package dev.kvmvfio.internal;

import dev.kvmvfio.kvm.aarch64.Aarch64Vcpu;

/** What the package {@code kvm.aarch64} opens to the package {@code kvm}. */
public interface Aarch64Access {
    /** Makes the facet of a virtual processor. */
    Aarch64Vcpu vcpu(VcpuAccess vcpu);
}
