package dev.kvmvfio.kvm;

import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Virtual processors that are out of their guest until this is closed: {@link Vcpu#pause()}, {@link Vm#pause()}. Their
 * registers stay as they are, and any thread may read and write them:
 *
 * {@snippet lang=java :
 * try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm()) {
 *     Vcpu vcpu = vm.createVcpu(0);
 *     // Its loop, on a thread of its own, stands still meanwhile.
 *     try (Pause _ = vcpu.pause()) {
 *         vcpu.x86().updateRegs(regs -> System.out.printf("at 0x%x%n", kvm_regs.rip(regs)));
 *         vcpu.x86().updateSregs(sregs -> System.out.printf("page table at 0x%x%n", kvm_sregs.cr3(sregs)));
 *     }
 * }
 * }
 *
 * <p>The loop does not notice: a {@link Vcpu#run()} waits inside until the last pause is closed. What an interrupt, a
 * signal of an irqfd or a {@link Vcpu#kick()} brings meanwhile is there afterwards.
 *
 * <p><b>While an exit is not answered</b> ({@link VcpuExit.PortRead}, {@link VcpuExit.MmioRead}, and those of
 * {@link VcpuExit.UnknownExit} that want an answer, such as of an MSR) its thread is with the program, and the vCPU counts
 * as paused. Its registers can be read: they are those of the instruction that waits. To write them is an
 * {@link IllegalStateException}, because KVM writes some of them itself when it takes the answer. When the answer is given
 * and the vCPU's thread calls {@code run()}, KVM completes the instruction, without going on with the guest, and the
 * registers can be written. An exit of a write wants no answer, and is no obstacle.
 *
 * <p>A pause that is dropped lasts until the vCPU is closed.
 *
 * <p><b>Thread-safety:</b> any thread may close it, once or several times. Pauses add up: of two threads that pause a
 * vCPU, or of one that pauses it twice, the last to close resumes it.
 */
public final class Pause implements AutoCloseable {
    private final List<Vcpu> vcpus;
    private final Thread holder = Thread.currentThread();
    private final AtomicBoolean closed = new AtomicBoolean();

    Pause(List<Vcpu> vcpus) {
        this.vcpus = vcpus;
    }

    /** Lets the guest go on, when nobody else pauses it. A vCPU that was closed meanwhile stays so. */
    @Override
    public void close() {
        if (!closed.getAndSet(true)) {
            vcpus.forEach(vcpu -> vcpu.resume(holder));
        }
    }

    @Override
    public String toString() {
        return (closed.get() ? "ended pause of " : "pause of ") + vcpus;
    }
}
