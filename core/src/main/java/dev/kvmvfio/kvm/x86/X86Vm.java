package dev.kvmvfio.kvm.x86;

import dev.kvmvfio.bindings.kvm.kvm_enable_cap;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_pit_config;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.internal.VmAccess;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.MemorySegment;

/**
 * What a virtual machine has on x86-64 alone: {@code vm.x86()}.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class X86Vm {
    private static final Ioctl ENABLE_CAP = new Ioctl("KVM_ENABLE_CAP", kvm_h.KVM_ENABLE_CAP());
    private static final Ioctl CREATE_PIT2 = new Ioctl("KVM_CREATE_PIT2", kvm_h.KVM_CREATE_PIT2());

    private final VmAccess vm;

    X86Vm(VmAccess vm) {
        this.vm = vm;
    }

    /**
     * {@code KVM_ENABLE_CAP} of {@code KVM_CAP_SPLIT_IRQCHIP}: lets the kernel model the local APICs and leaves PIC and
     * IO-APIC to the program. It must come before the first vCPU.
     *
     * @param ioapicPins how many pins the program's IO-APIC has, 0 to 4096: that many of the first GSIs are theirs
     * @throws KernelException when the kernel refuses; {@code EINVAL} for too many pins
     */
    public void createSplitIrqchip(int ioapicPins) {
        MemorySegment capability = kvm_enable_cap.allocate(Scratch.begin());
        kvm_enable_cap.cap(capability, kvm_h.KVM_CAP_SPLIT_IRQCHIP());
        kvm_enable_cap.args(capability, 0, ioapicPins);
        int result = vm.fd().ioctl(ENABLE_CAP, capability);
        if (result < 0) {
            throw new KernelException(ENABLE_CAP.name(), vm.fd(), "cap=KVM_CAP_SPLIT_IRQCHIP, pins=" + ioapicPins,
                    result, switch (Errno.of(-result)) {
                        case EINVAL -> "There can be 0 to 4096 pins";
                        case EEXIST -> "It can be made once, and before the first vCPU";
                        default -> "";
                    });
        }
        vm.startRoutes(ioapicPins);
    }

    /**
     * {@code KVM_CREATE_PIT2}: lets the kernel model the programmable interval timer, which interrupts by GSI 0. It needs
     * the interrupt controllers of {@code KVM_CREATE_IRQCHIP}.
     *
     * @throws KernelException when the kernel refuses
     */
    public void createPit() {
        int result = vm.fd().ioctl(CREATE_PIT2, kvm_pit_config.allocate(Scratch.begin()));
        if (result < 0) {
            throw new KernelException(CREATE_PIT2.name(), vm.fd(), "", result, switch (Errno.of(-result)) {
                case EEXIST -> "This VM has one already";
                case ENOENT -> "It needs the PIC and the IO-APIC in the kernel: call createIrqchip first";
                default -> "";
            });
        }
    }
}
