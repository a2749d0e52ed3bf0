package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.internal.ArchitectureAccess;
import dev.kvmvfio.kernel.AnswerException;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * Makes the views of a vCPU's {@code struct kvm_run} once, and tells after each run which of them counts. The fields
 * that this package reads are at the same place on every architecture.
 */
final class ExitReader {
    private static final int IO = kvm_h.KVM_EXIT_IO();
    private static final int MMIO = kvm_h.KVM_EXIT_MMIO();
    /** Of those that have no type here, which KVM does not complete: to an exit of its future it may want an answer. */
    private static final Set<Integer> ANSWERLESS = Set.of(kvm_h.KVM_EXIT_UNKNOWN(), kvm_h.KVM_EXIT_EXCEPTION(),
            kvm_h.KVM_EXIT_DEBUG(), kvm_h.KVM_EXIT_NMI(), kvm_h.KVM_EXIT_DIRTY_RING_FULL(),
            kvm_h.KVM_EXIT_X86_BUS_LOCK(), kvm_h.KVM_EXIT_NOTIFY(), kvm_h.KVM_EXIT_MEMORY_FAULT(),
            kvm_h.KVM_EXIT_ARM_SEA());

    /** Up to the end of the union that tells of the exit. */
    private static final long COPIED = kvm_run.kvm_valid_regs$offset();

    private final Vcpu vcpu;
    private final MemorySegment run;
    /** What the rarer exits are views of: their program may still read it when the vCPU is closed. */
    private final MemorySegment told = MemorySegment.ofArray(new long[(int) (COPIED / Long.BYTES)]);
    private final PortData port;
    private final MmioData mmio;
    private final VcpuExit.PortRead portRead;
    private final VcpuExit.PortWrite portWrite;
    private final VcpuExit.MmioRead mmioRead;
    private final VcpuExit.MmioWrite mmioWrite;
    private final VcpuExit[] others;
    private final VcpuExit.UnknownExit unknown;

    ExitReader(Vcpu vcpu, MemorySegment run) {
        this.vcpu = vcpu;
        this.run = run;
        this.port = new PortData(vcpu, run);
        this.mmio = new MmioData(vcpu, run);
        this.portRead = new VcpuExit.PortRead(port, vcpu);
        this.portWrite = new VcpuExit.PortWrite(port);
        this.mmioRead = new VcpuExit.MmioRead(mmio, vcpu);
        this.mmioWrite = new VcpuExit.MmioWrite(mmio);
        this.others = byReason(others(told));
        this.unknown = new VcpuExit.UnknownExit(told);
    }

    private static Map<Integer, VcpuExit> others(MemorySegment run) {
        Map<Integer, VcpuExit> others = new HashMap<>(Map.of(kvm_h.KVM_EXIT_HLT(), VcpuExit.Halt.INSTANCE,
                kvm_h.KVM_EXIT_IRQ_WINDOW_OPEN(), VcpuExit.InterruptWindow.INSTANCE,
                kvm_h.KVM_EXIT_IOAPIC_EOI(), new VcpuExit.IoapicEoi(run),
                kvm_h.KVM_EXIT_SHUTDOWN(), VcpuExit.Shutdown.INSTANCE,
                kvm_h.KVM_EXIT_SYSTEM_EVENT(), new VcpuExit.SystemEvent(run),
                kvm_h.KVM_EXIT_FAIL_ENTRY(), new VcpuExit.FailEntry(run),
                kvm_h.KVM_EXIT_INTERNAL_ERROR(), new VcpuExit.InternalError(run)));
        ArchitectureAccess.x86().exits(run).forEach((reason, exit) -> others.put(reason, new VcpuExit.X86(exit)));
        return others;
    }

    private static VcpuExit[] byReason(Map<Integer, VcpuExit> exits) {
        VcpuExit[] byReason = new VcpuExit[Collections.max(exits.keySet()) + 1];
        exits.forEach((reason, exit) -> byReason[reason] = exit);
        return byReason;
    }

    VcpuExit read() {
        int reason = kvm_run.exit_reason(run);
        if (reason == IO) {
            require(port.read(), "KVM_EXIT_IO", port);
            return port.isOut() ? portWrite : portRead;
        }
        if (reason == MMIO) {
            require(mmio.read(), "KVM_EXIT_MMIO", mmio.size());
            return mmio.isWrite() ? mmioWrite : mmioRead;
        }
        MemorySegment.copy(run, 0, told, 0, COPIED);
        VcpuExit other = reason >= 0 && reason < others.length ? others[reason] : null;
        return other == null ? unknown : other;
    }

    /** What the program may do to the registers after an exit: one of the words of {@link Pauses}. */
    int where(VcpuExit exit) {
        if (exit == portRead || exit == mmioRead) {
            return Pauses.UNANSWERED;
        }
        if (exit == mmioWrite) {
            return Pauses.WROTE;
        }
        return exit == unknown && !ANSWERLESS.contains(unknown.reason()) ? Pauses.UNANSWERED : Pauses.OUT;
    }

    private void require(boolean possible, String exit, Object told) {
        if (!possible) {
            throw new AnswerException("KVM_RUN", vcpu, exit + " with " + told + ", which no guest can do");
        }
    }
}
