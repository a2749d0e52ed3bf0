package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.kvm.x86.X86Exit;
import java.lang.foreign.MemorySegment;

/**
 * Why a vCPU left the guest: what {@link Vcpu#run()} answers with, to be switched over.
 *
 * <p>An exit that tells something is the same object each time, valid until the next {@code run()}, also when the vCPU is
 * closed before that. So no exit allocates anything.
 *
 * <p><b>Thread-safety:</b> for the vCPU's thread only.
 */
public sealed interface VcpuExit {
    /**
     * The guest read from a port ({@code KVM_EXIT_IO}, x86-64). What {@link #answer(int)} is told is what the guest gets
     * when the vCPU runs again; without an answer it gets what the memory happens to hold.
     */
    final class PortRead implements VcpuExit {
        private final PortData data;
        private final Vcpu vcpu;

        PortRead(PortData data, Vcpu vcpu) {
            this.data = data;
            this.vcpu = vcpu;
        }

        /**
         * Which port.
         *
         * @return 0 to 65535
         */
        public int port() {
            return data.port();
        }

        /**
         * How much at a time.
         *
         * @return 1, 2 or 4 bytes
         */
        public int size() {
            return data.size();
        }

        /**
         * How many values; more than one for a string instruction.
         *
         * @return 1 or more
         */
        public int count() {
            return data.count();
        }

        /**
         * Answers with one value, each time when there are several.
         *
         * @param value of which the lowest {@link #size()} bytes count
         * @throws dev.kvmvfio.kernel.ClosedException when the vCPU is closed
         */
        public void answer(int value) {
            for (int i = 0; i < count(); i++) {
                answer(i, value);
            }
        }

        /**
         * Answers one of several values; the last one last.
         *
         * @param index from 0 to {@link #count()} - 1
         * @param value of which the lowest {@link #size()} bytes count
         * @throws IndexOutOfBoundsException when there are not so many
         */
        public void answer(int index, int value) {
            data.set(index, value);
            if (index == count() - 1) {
                vcpu.answered();
            }
        }

        @Override
        public String toString() {
            return data.describe("read from");
        }
    }

    /** The guest wrote to a port ({@code KVM_EXIT_IO}, x86-64). */
    final class PortWrite implements VcpuExit {
        private final PortData data;

        PortWrite(PortData data) {
            this.data = data;
        }

        /**
         * Which port.
         *
         * @return 0 to 65535
         */
        public int port() {
            return data.port();
        }

        /**
         * How much at a time.
         *
         * @return 1, 2 or 4 bytes
         */
        public int size() {
            return data.size();
        }

        /**
         * How many values; more than one for a string instruction.
         *
         * @return 1 or more
         */
        public int count() {
            return data.count();
        }

        /**
         * The value, the first one when there are several.
         *
         * @return its {@link #size()} bytes, unsigned; all 32 bits when there are four
         */
        public int value() {
            return value(0);
        }

        /**
         * One of several values.
         *
         * @param index from 0 to {@link #count()} - 1
         * @return its {@link #size()} bytes, unsigned; all 32 bits when there are four
         * @throws IndexOutOfBoundsException when there are not so many
         */
        public int value(int index) {
            return data.get(index);
        }

        @Override
        public String toString() {
            String value = count() == 1 ? String.format("0x%x", value()) : count() + " values";
            return data.describe("write of " + value + " to");
        }
    }

    /**
     * The guest read from an address that is no memory ({@code KVM_EXIT_MMIO}). What {@link #answer} is told is what the
     * guest gets when the vCPU runs again.
     */
    final class MmioRead implements VcpuExit {
        private final MmioData mmio;
        private final Vcpu vcpu;

        MmioRead(MmioData mmio, Vcpu vcpu) {
            this.mmio = mmio;
            this.vcpu = vcpu;
        }

        /**
         * Where.
         *
         * @return a guest-physical address in bytes
         */
        public long address() {
            return mmio.address();
        }

        /**
         * How much.
         *
         * @return 1 to 8 bytes
         */
        public int size() {
            return mmio.size();
        }

        /**
         * Answers.
         *
         * @param value of which the lowest {@link #size()} bytes count
         * @throws dev.kvmvfio.kernel.ClosedException when the vCPU is closed
         */
        public void answer(long value) {
            mmio.answer(value);
            vcpu.answered();
        }

        @Override
        public String toString() {
            return String.format("read of %d bytes at 0x%x", size(), address());
        }
    }

    /** The guest wrote to an address that is no writable memory ({@code KVM_EXIT_MMIO}). */
    final class MmioWrite implements VcpuExit {
        private final MmioData mmio;

        MmioWrite(MmioData mmio) {
            this.mmio = mmio;
        }

        /**
         * Where.
         *
         * @return a guest-physical address in bytes
         */
        public long address() {
            return mmio.address();
        }

        /**
         * How much.
         *
         * @return 1 to 8 bytes
         */
        public int size() {
            return mmio.size();
        }

        /**
         * What.
         *
         * @return {@link #size()} bytes, unsigned; all 64 bits when there are eight
         */
        public long value() {
            return mmio.value();
        }

        @Override
        public String toString() {
            return String.format("write of 0x%x (%d bytes) at 0x%x", value(), size(), address());
        }
    }

    /**
     * The guest halted until the next interrupt ({@code KVM_EXIT_HLT}). With an interrupt controller in the kernel a
     * halted vCPU waits there and does not exit.
     */
    enum Halt implements VcpuExit {
        /** Halts tell nothing. */
        INSTANCE;

        @Override
        public String toString() {
            return "halt";
        }
    }

    /** The guest shut down, on x86-64 by a triple fault ({@code KVM_EXIT_SHUTDOWN}). */
    enum Shutdown implements VcpuExit {
        /** Shutdowns tell nothing. */
        INSTANCE;

        @Override
        public String toString() {
            return "shutdown (triple fault)";
        }
    }

    /** {@link Vcpu#kick()} was called, or a signal came to a thread that is interrupted; the guest did nothing. */
    enum Interrupted implements VcpuExit {
        /** Kicks tell nothing. */
        INSTANCE;

        @Override
        public String toString() {
            return "interrupted";
        }
    }

    /**
     * The vCPU was closed, or its VM was: its loop ends. Nothing of it can be used any more, and another {@code run()} is a
     * {@link dev.kvmvfio.kernel.ClosedException}.
     */
    enum Closed implements VcpuExit {
        /** Closes tell nothing. */
        INSTANCE;

        @Override
        public String toString() {
            return "closed";
        }
    }

    /** The guest can take an interrupt now, as the program asked to be told ({@code KVM_EXIT_IRQ_WINDOW_OPEN}). */
    enum InterruptWindow implements VcpuExit {
        /** Windows tell nothing. */
        INSTANCE;

        @Override
        public String toString() {
            return "interrupt window open";
        }
    }

    /**
     * The guest is done with a level-triggered interrupt of an IO-APIC that the program models
     * ({@code KVM_EXIT_IOAPIC_EOI}, split irqchip).
     */
    final class IoapicEoi implements VcpuExit {
        private final MemorySegment eoi;

        IoapicEoi(MemorySegment run) {
            this.eoi = kvm_run.eoi(run);
        }

        /**
         * Which interrupt.
         *
         * @return its vector, 0 to 255
         */
        public int vector() {
            return Byte.toUnsignedInt(kvm_run.eoi.vector(eoi));
        }

        @Override
        public String toString() {
            return "end of interrupt of vector " + vector();
        }
    }

    /** The guest asks the machine for something, such as to be reset ({@code KVM_EXIT_SYSTEM_EVENT}). */
    final class SystemEvent implements VcpuExit {
        private final MemorySegment event;
        private final ExitData data;

        SystemEvent(MemorySegment run) {
            this.event = kvm_run.system_event(run);
            this.data = new ExitData(kvm_run.system_event.data(event), () -> kvm_run.system_event.ndata(event));
        }

        /**
         * What it asks for.
         *
         * @return a {@code KVM_SYSTEM_EVENT_} number
         */
        public int type() {
            return kvm_run.system_event.type(event);
        }

        /**
         * Whether the guest wants to be switched off.
         *
         * @return true for {@code KVM_SYSTEM_EVENT_SHUTDOWN}
         */
        public boolean isShutdown() {
            return type() == kvm_h.KVM_SYSTEM_EVENT_SHUTDOWN();
        }

        /**
         * Whether the guest wants to be started again.
         *
         * @return true for {@code KVM_SYSTEM_EVENT_RESET}
         */
        public boolean isReset() {
            return type() == kvm_h.KVM_SYSTEM_EVENT_RESET();
        }

        /**
         * How many numbers the event tells.
         *
         * @return 0 to 16
         */
        public int dataCount() {
            return data.count();
        }

        /**
         * One of these numbers, which mean what the event defines.
         *
         * @param index from 0 to {@link #dataCount()} - 1
         * @return the number
         * @throws IndexOutOfBoundsException when there are not so many
         */
        public long data(int index) {
            return data.get(index);
        }

        @Override
        public String toString() {
            return "system event " + type() + " " + data.stream().boxed().toList();
        }
    }

    /** The processor refused to enter the guest ({@code KVM_EXIT_FAIL_ENTRY}). */
    final class FailEntry implements VcpuExit {
        private final MemorySegment failed;

        FailEntry(MemorySegment run) {
            this.failed = kvm_run.fail_entry(run);
        }

        /**
         * What the processor says.
         *
         * @return on Intel's the exit reason of the failed entry, on AMD's the exit code
         */
        public long hardwareReason() {
            return kvm_run.fail_entry.hardware_entry_failure_reason(failed);
        }

        /**
         * Which processor it was.
         *
         * @return its number on the host
         */
        public int cpu() {
            return kvm_run.fail_entry.cpu(failed);
        }

        @Override
        public String toString() {
            return String.format("failed entry, hardware reason 0x%x on processor %d", hardwareReason(), cpu());
        }
    }

    /** KVM itself could not go on ({@code KVM_EXIT_INTERNAL_ERROR}). */
    final class InternalError implements VcpuExit {
        private final MemorySegment error;
        private final ExitData data;

        InternalError(MemorySegment run) {
            this.error = kvm_run.internal(run);
            this.data = new ExitData(kvm_run.internal.data(error), () -> kvm_run.internal.ndata(error));
        }

        /**
         * What it could not do.
         *
         * @return a {@code KVM_INTERNAL_ERROR_} number
         */
        public int suberror() {
            return kvm_run.internal.suberror(error);
        }

        /**
         * How many numbers the kernel tells about it.
         *
         * @return 0 to 16
         */
        public int dataCount() {
            return data.count();
        }

        /**
         * One of these numbers.
         *
         * @param index from 0 to {@link #dataCount()} - 1
         * @return the number
         * @throws IndexOutOfBoundsException when there are not so many
         */
        public long data(int index) {
            return data.get(index);
        }

        @Override
        public String toString() {
            String what = suberror() == kvm_h.KVM_INTERNAL_ERROR_EMULATION()
                    ? "an instruction could not be emulated"
                    : suberror() == kvm_h.KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON()
                            ? "unexpected exit of the processor"
                            : "suberror " + suberror();
            return "internal error: " + what + data.stream().mapToObj(Long::toHexString).toList();
        }
    }

    /**
     * An exit that x86-64 alone has and that is not frequent.
     *
     * @param exit which one
     */
    record X86(X86Exit exit) implements VcpuExit {
        @Override
        public String toString() {
            return exit.toString();
        }
    }

    /**
     * Any other exit: one that a program gets only when it enabled the capability for it, or one that is newer than this
     * library. What it says is in {@link Vcpu#kvmRun()}.
     */
    final class UnknownExit implements VcpuExit {
        private final MemorySegment run;
        private final MemorySegment hardware;

        UnknownExit(MemorySegment run) {
            this.run = run;
            this.hardware = kvm_run.hw(run);
        }

        /**
         * Which one.
         *
         * @return a {@code KVM_EXIT_} number
         */
        public int reason() {
            return kvm_run.exit_reason(run);
        }

        /**
         * The first 64 bits of what the exit tells; for {@code KVM_EXIT_UNKNOWN} that is what the processor says.
         *
         * @return the first word of the union in {@code struct kvm_run}
         */
        public long firstWord() {
            return kvm_run.hw.hardware_exit_reason(hardware);
        }

        @Override
        public String toString() {
            return String.format("exit %d (0x%x)", reason(), firstWord());
        }
    }
}
