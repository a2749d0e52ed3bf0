package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Makes the views of a vCPU's {@code struct kvm_run} once, and tells after each run which of them counts. The fields
 * that are used here are at the same place on every architecture.
 */
final class ExitReader {
    private static final int IO = kvm_h.KVM_EXIT_IO();
    private static final int MMIO = kvm_h.KVM_EXIT_MMIO();
    private static final byte OUT = (byte) kvm_h.KVM_EXIT_IO_OUT();

    private final MemorySegment run;
    private final MemorySegment io;
    private final MemorySegment mmio;
    private final VcpuExit.PortRead portRead;
    private final VcpuExit.PortWrite portWrite;
    private final VcpuExit.MmioRead mmioRead;
    private final VcpuExit.MmioWrite mmioWrite;

    ExitReader(MemorySegment run) {
        this.run = run;
        this.io = kvm_run.io(run);
        this.mmio = kvm_run.mmio(run);
        PortData port = new PortData(run, io);
        this.portRead = new VcpuExit.PortRead(port);
        this.portWrite = new VcpuExit.PortWrite(port);
        this.mmioRead = new VcpuExit.MmioRead(mmio);
        this.mmioWrite = new VcpuExit.MmioWrite(mmio);
    }

    VcpuExit read() {
        int reason = kvm_run.exit_reason(run);
        if (reason == IO) {
            return kvm_run.io.direction(io) == OUT ? portWrite : portRead;
        }
        if (reason == MMIO) {
            return kvm_run.mmio.is_write(mmio) != 0 ? mmioWrite : mmioRead;
        }
        if (reason == kvm_h.KVM_EXIT_HLT()) {
            return VcpuExit.Halt.INSTANCE;
        }
        return rare(reason);
    }

    private VcpuExit rare(int reason) {
        if (reason == kvm_h.KVM_EXIT_IRQ_WINDOW_OPEN()) {
            return VcpuExit.InterruptWindow.INSTANCE;
        }
        if (reason == kvm_h.KVM_EXIT_IOAPIC_EOI()) {
            return new VcpuExit.IoapicEoi(Byte.toUnsignedInt(kvm_run.eoi.vector(kvm_run.eoi(run))));
        }
        if (reason == kvm_h.KVM_EXIT_SHUTDOWN()) {
            return VcpuExit.Shutdown.INSTANCE;
        }
        if (reason == kvm_h.KVM_EXIT_SYSTEM_EVENT()) {
            return systemEvent(kvm_run.system_event(run));
        }
        if (reason == kvm_h.KVM_EXIT_FAIL_ENTRY()) {
            MemorySegment failed = kvm_run.fail_entry(run);
            return new VcpuExit.FailEntry(kvm_run.fail_entry.hardware_entry_failure_reason(failed),
                    kvm_run.fail_entry.cpu(failed));
        }
        if (reason == kvm_h.KVM_EXIT_INTERNAL_ERROR()) {
            return internalError(kvm_run.internal(run));
        }
        return new VcpuExit.UnknownExit(reason, kvm_run.hw.hardware_exit_reason(kvm_run.hw(run)));
    }

    private static VcpuExit.SystemEvent systemEvent(MemorySegment event) {
        MemorySegment data = kvm_run.system_event.data(event);
        return new VcpuExit.SystemEvent(kvm_run.system_event.type(event),
                longs(data, kvm_run.system_event.ndata(event)));
    }

    private static VcpuExit.InternalError internalError(MemorySegment error) {
        return new VcpuExit.InternalError(kvm_run.internal.suberror(error),
                longs(kvm_run.internal.data(error), kvm_run.internal.ndata(error)));
    }

    private static List<Long> longs(MemorySegment data, int count) {
        return Arrays.stream(data.toArray(ValueLayout.JAVA_LONG)).limit(count).boxed().toList();
    }
}
