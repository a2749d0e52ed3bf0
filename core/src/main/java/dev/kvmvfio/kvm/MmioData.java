package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.kernel.ClosedException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** What an access to an address that is no memory tells, and its answer. */
final class MmioData {
    private final Vcpu vcpu;
    private final MemorySegment mmio;
    private long address;
    private int size;
    private long value;

    MmioData(Vcpu vcpu, MemorySegment run) {
        this.vcpu = vcpu;
        this.mmio = kvm_run.mmio(run);
    }

    /**
     * Takes what the exit tells.
     *
     * @return whether it is of a size that there is room for
     */
    boolean read() {
        address = kvm_run.mmio.phys_addr(mmio);
        size = kvm_run.mmio.len(mmio);
        value = mmio.get(ValueLayout.JAVA_LONG, kvm_run.mmio.data$offset());
        return size > 0 && size <= Long.BYTES;
    }

    boolean isWrite() {
        return kvm_run.mmio.is_write(mmio) != 0;
    }

    long address() {
        return address;
    }

    int size() {
        return size;
    }

    long value() {
        int unused = Long.SIZE - size * Byte.SIZE;
        return value << unused >>> unused;
    }

    void answer(long answer) {
        try {
            mmio.set(ValueLayout.JAVA_LONG, kvm_run.mmio.data$offset(), answer);
        } catch (IllegalStateException gone) {
            throw new ClosedException(vcpu);
        }
    }
}
