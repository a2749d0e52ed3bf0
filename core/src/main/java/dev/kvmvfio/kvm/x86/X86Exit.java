package dev.kvmvfio.kvm.x86;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import java.lang.foreign.MemorySegment;

/**
 * Why a vCPU left the guest, for what only x86-64 has and that is not frequent. {@code VcpuExit.X86} holds it.
 *
 * <p>Each is a view of the vCPU's {@code struct kvm_run}: the same object each time, valid until the next {@code run()}.
 *
 * <p><b>Thread-safety:</b> for the vCPU's thread only.
 */
public sealed interface X86Exit {
    /**
     * The guest lowered the priority of its task, so that it may now take an interrupt that it did not want before
     * ({@code KVM_EXIT_SET_TPR}). Only without local APICs in the kernel.
     */
    final class SetTpr implements X86Exit {
        private final MemorySegment run;

        SetTpr(MemorySegment run) {
            this.run = run;
        }

        /**
         * The new priority: interrupts of this class and below wait.
         *
         * @return what is in CR8, 0 to 15
         */
        public int cr8() {
            return (int) kvm_run.cr8(run);
        }

        @Override
        public String toString() {
            return "task priority lowered to " + cr8();
        }
    }
}
