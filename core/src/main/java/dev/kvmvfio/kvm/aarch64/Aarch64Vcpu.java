package dev.kvmvfio.kvm.aarch64;

import dev.kvmvfio.bindings.kvm.aarch64.kvm_aarch64_h;
import dev.kvmvfio.bindings.kvm.aarch64.kvm_vcpu_init;
import dev.kvmvfio.internal.ArchitectureAccess;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.internal.VcpuAccess;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.MemorySegment;

/**
 * What a virtual processor has on aarch64 alone: {@code vcpu.aarch64()}. Its registers are numbered:
 * {@code vcpu.oneReg}.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread; on another one than the vCPU's each is done within a
 * pause of its own ({@code Vcpu.pause()}).
 */
public final class Aarch64Vcpu {
    static {
        ArchitectureAccess.set(Aarch64Vcpu::new);
    }

    private static final Ioctl PREFERRED_TARGET = new Ioctl("KVM_ARM_PREFERRED_TARGET",
            kvm_aarch64_h.KVM_ARM_PREFERRED_TARGET());
    private static final Ioctl INIT = new Ioctl("KVM_ARM_VCPU_INIT", kvm_aarch64_h.KVM_ARM_VCPU_INIT());

    private final VcpuAccess vcpu;

    private Aarch64Vcpu(VcpuAccess vcpu) {
        this.vcpu = vcpu;
    }

    /**
     * {@code KVM_ARM_PREFERRED_TARGET} and {@code KVM_ARM_VCPU_INIT}: makes the vCPU like the host's processor and ready
     * to run. A second call resets it.
     *
     * @param features numbers of {@code KVM_ARM_VCPU_} features to switch on, such as {@code KVM_ARM_VCPU_PSCI_0_2}
     * @throws KernelException when the kernel refuses
     */
    public void init(int... features) {
        MemorySegment target = kvm_vcpu_init.allocate(Scratch.begin());
        vcpu.vm().call(PREFERRED_TARGET, target);
        for (int feature : features) {
            int word = feature / Integer.SIZE;
            kvm_vcpu_init.features(target, word,
                    kvm_vcpu_init.features(target, word) | 1 << feature % Integer.SIZE);
        }
        int result = vcpu.write(INIT, target);
        if (result < 0) {
            throw new KernelException(INIT.name(), vcpu.fd(), result);
        }
    }
}
