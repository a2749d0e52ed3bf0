package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;

/** What the host's processors are: KVM runs guests of the same kind. */
enum Architecture {
    /** It alone has CPUID. */
    X86_64("x86-64"),
    /** It alone has Arm's power interface, of those that are of 64 bits. */
    AARCH64("aarch64"),
    /** Anything else: what is portable works there. */
    OTHER("another architecture");

    private final String text;

    Architecture(String text) {
        this.text = text;
    }

    static Architecture of(Kvm kvm) {
        if (kvm.checkExtension(kvm_h.KVM_CAP_EXT_CPUID()) > 0) {
            return X86_64;
        }
        return kvm.checkExtension(kvm_h.KVM_CAP_ARM_PSCI()) > 0 ? AARCH64 : OTHER;
    }

    @Override
    public String toString() {
        return text;
    }
}
