package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;

/** What is special about a {@link MemorySlot}. */
public enum SlotFlag {
    /**
     * {@code KVM_MEM_READONLY}: the guest reads the memory, and what it writes comes to the program as an MMIO exit.
     * Needs {@code KVM_CAP_READONLY_MEM}.
     */
    READ_ONLY((int) kvm_h.KVM_MEM_READONLY()),
    /** {@code KVM_MEM_LOG_DIRTY_PAGES}: KVM notes which pages the guest writes to. */
    DIRTY_LOG((int) kvm_h.KVM_MEM_LOG_DIRTY_PAGES());

    private final int bit;

    SlotFlag(int bit) {
        this.bit = bit;
    }

    static int bits(SlotFlag... flags) {
        int bits = 0;
        for (SlotFlag flag : flags) {
            bits |= flag.bit;
        }
        return bits;
    }
}
