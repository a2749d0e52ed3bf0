package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kvm.x86.X86Exit;
import dev.kvmvfio.kvm.x86.X86Kvm;
import dev.kvmvfio.kvm.x86.X86Vcpu;
import dev.kvmvfio.kvm.x86.X86Vm;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;

/** What the package {@code kvm.x86} opens to the package {@code kvm}. */
public interface X86Access {
    /** Makes the facet of a system. */
    X86Kvm kvm(FileDescriptor kvm);

    /** Makes the facet of a virtual machine. */
    X86Vm vm(VmAccess vm);

    /** Makes the facet of a virtual processor. */
    X86Vcpu vcpu(VcpuAccess vcpu);

    /** The exits that x86-64 alone has, by their reasons: views of a {@code struct kvm_run}. */
    Map<Integer, X86Exit> exits(MemorySegment run);

    /** The address of the instruction that the guest goes on with. */
    long instructionPointer(X86Vcpu vcpu);

    /** What {@code KVM_CREATE_IRQCHIP} routes. */
    List<PinRoute> irqchipRoutes();
}
