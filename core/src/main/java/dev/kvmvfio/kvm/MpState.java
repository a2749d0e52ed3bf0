package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import java.util.Arrays;
import java.util.Optional;

/** What a vCPU of a machine with several is doing ({@code KVM_MP_STATE_}). */
public enum MpState {
    /** It runs. */
    RUNNABLE(kvm_h.KVM_MP_STATE_RUNNABLE()),
    /** It waits for another one to start it, with an interrupt controller in the kernel. */
    UNINITIALIZED(kvm_h.KVM_MP_STATE_UNINITIALIZED()),
    /** It was reset and waits for the start-up message. */
    INIT_RECEIVED(kvm_h.KVM_MP_STATE_INIT_RECEIVED()),
    /** It halted and waits for an interrupt. */
    HALTED(kvm_h.KVM_MP_STATE_HALTED()),
    /** It has the start-up message and has not begun. */
    SIPI_RECEIVED(kvm_h.KVM_MP_STATE_SIPI_RECEIVED()),
    /** It is switched off (aarch64). */
    STOPPED(kvm_h.KVM_MP_STATE_STOPPED()),
    /** It waits for the program to let it start (encrypted guests). */
    AP_RESET_HOLD(kvm_h.KVM_MP_STATE_AP_RESET_HOLD()),
    /** It is suspended (aarch64). */
    SUSPENDED(kvm_h.KVM_MP_STATE_SUSPENDED());

    private final int number;

    MpState(int number) {
        this.number = number;
    }

    /**
     * The kernel's number.
     *
     * @return the {@code KVM_MP_STATE_} constant
     */
    public int number() {
        return number;
    }

    static Optional<MpState> of(int number) {
        return Arrays.stream(values()).filter(state -> state.number == number).findAny();
    }
}
