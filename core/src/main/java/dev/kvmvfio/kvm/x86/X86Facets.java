package dev.kvmvfio.kvm.x86;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.internal.PinRoute;
import dev.kvmvfio.internal.VcpuAccess;
import dev.kvmvfio.internal.VmAccess;
import dev.kvmvfio.internal.X86Access;
import dev.kvmvfio.kernel.FileDescriptor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Makes what has no public constructor. */
final class X86Facets implements X86Access {
    private static final int PIC_PINS = 8;
    private static final int IOAPIC_PINS = kvm_x86_64_h.KVM_IOAPIC_NUM_PINS();

    @Override
    public X86Kvm kvm(FileDescriptor kvm) {
        return new X86Kvm(kvm);
    }

    @Override
    public X86Vm vm(VmAccess vm) {
        return new X86Vm(vm);
    }

    @Override
    public X86Vcpu vcpu(VcpuAccess vcpu) {
        return new X86Vcpu(vcpu);
    }

    @Override
    public Map<Integer, X86Exit> exits(MemorySegment run) {
        return Map.of(kvm_h.KVM_EXIT_SET_TPR(), new X86Exit.SetTpr(run));
    }

    @Override
    public long instructionPointer(X86Vcpu vcpu) {
        try (Arena arena = Arena.ofConfined()) {
            return kvm_regs.rip(vcpu.regs(arena));
        }
    }

    /** The interrupts of ISA go to both chips. */
    @Override
    public List<PinRoute> irqchipRoutes() {
        List<PinRoute> routes = new ArrayList<>();
        for (int pin = 0; pin < PIC_PINS; pin++) {
            routes.add(new PinRoute(pin, kvm_x86_64_h.KVM_IRQCHIP_PIC_MASTER(), pin));
            routes.add(new PinRoute(PIC_PINS + pin, kvm_x86_64_h.KVM_IRQCHIP_PIC_SLAVE(), pin));
        }
        for (int pin = 0; pin < IOAPIC_PINS; pin++) {
            routes.add(new PinRoute(pin, kvm_x86_64_h.KVM_IRQCHIP_IOAPIC(), pin));
        }
        return routes;
    }
}
