package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;

/** The kinds of device that KVM models in the kernel; which of them there are depends on the architecture. */
public enum KvmDeviceType {
    /** PowerPC: MPIC 2.0 interrupt controller. */
    FSL_MPIC_20(kvm_h.KVM_DEV_TYPE_FSL_MPIC_20()),
    /** PowerPC: MPIC 4.2 interrupt controller. */
    FSL_MPIC_42(kvm_h.KVM_DEV_TYPE_FSL_MPIC_42()),
    /** PowerPC: XICS interrupt controller. */
    XICS(kvm_h.KVM_DEV_TYPE_XICS()),
    /** The bridge between KVM and VFIO, on every architecture. */
    VFIO(kvm_h.KVM_DEV_TYPE_VFIO()),
    /** Arm: GICv2. */
    ARM_VGIC_V2(kvm_h.KVM_DEV_TYPE_ARM_VGIC_V2()),
    /** s390: floating interrupt controller. */
    FLIC(kvm_h.KVM_DEV_TYPE_FLIC()),
    /** Arm: GICv3. */
    ARM_VGIC_V3(kvm_h.KVM_DEV_TYPE_ARM_VGIC_V3()),
    /** Arm: GICv3 interrupt translation service. */
    ARM_VGIC_ITS(kvm_h.KVM_DEV_TYPE_ARM_VGIC_ITS()),
    /** PowerPC: XIVE interrupt controller. */
    XIVE(kvm_h.KVM_DEV_TYPE_XIVE()),
    /** Arm: paravirtual time. */
    ARM_PV_TIME(kvm_h.KVM_DEV_TYPE_ARM_PV_TIME()),
    /** RISC-V: advanced interrupt architecture. */
    RISCV_AIA(kvm_h.KVM_DEV_TYPE_RISCV_AIA()),
    /** LoongArch: inter-processor interrupts. */
    LOONGARCH_IPI(kvm_h.KVM_DEV_TYPE_LOONGARCH_IPI()),
    /** LoongArch: extended I/O interrupt controller. */
    LOONGARCH_EIOINTC(kvm_h.KVM_DEV_TYPE_LOONGARCH_EIOINTC()),
    /** LoongArch: PCH PIC interrupt controller. */
    LOONGARCH_PCHPIC(kvm_h.KVM_DEV_TYPE_LOONGARCH_PCHPIC()),
    /** LoongArch: direct message interrupt controller. */
    LOONGARCH_DMSINTC(kvm_h.KVM_DEV_TYPE_LOONGARCH_DMSINTC()),
    /** Arm: GICv5. */
    ARM_VGIC_V5(kvm_h.KVM_DEV_TYPE_ARM_VGIC_V5());

    private final int number;

    KvmDeviceType(int number) {
        this.number = number;
    }

    /**
     * The kernel's number.
     *
     * @return the {@code KVM_DEV_TYPE_} constant
     */
    public int number() {
        return number;
    }
}
