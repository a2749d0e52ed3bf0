package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Why a vCPU left the guest: what {@link Vcpu#run()} answers with, to be switched over.
 *
 * <p>The frequent exits are views of the vCPU's {@code struct kvm_run}: the same object each time, valid until the next
 * {@code run()}, so that an exit allocates nothing.
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

        PortRead(PortData data) {
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
         * Answers with one value, each time when there are several.
         *
         * @param value of which the lowest {@link #size()} bytes count
         */
        public void answer(int value) {
            for (int i = 0; i < count(); i++) {
                answer(i, value);
            }
        }

        /**
         * Answers one of several values.
         *
         * @param index from 0 to {@link #count()} - 1
         * @param value of which the lowest {@link #size()} bytes count
         * @throws IndexOutOfBoundsException when there are not so many
         */
        public void answer(int index, int value) {
            data.set(index, value);
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
        private final MemorySegment mmio;

        MmioRead(MemorySegment mmio) {
            this.mmio = mmio;
        }

        /**
         * Where.
         *
         * @return a guest-physical address in bytes
         */
        public long address() {
            return kvm_run.mmio.phys_addr(mmio);
        }

        /**
         * How much.
         *
         * @return 1 to 8 bytes
         */
        public int length() {
            return kvm_run.mmio.len(mmio);
        }

        /**
         * Answers.
         *
         * @param value of which the lowest {@link #length()} bytes count
         */
        public void answer(long value) {
            mmio.set(ValueLayout.JAVA_LONG, kvm_run.mmio.data$offset(), value);
        }

        @Override
        public String toString() {
            return String.format("read of %d bytes at 0x%x", length(), address());
        }
    }

    /** The guest wrote to an address that is no writable memory ({@code KVM_EXIT_MMIO}). */
    final class MmioWrite implements VcpuExit {
        private final MemorySegment mmio;

        MmioWrite(MemorySegment mmio) {
            this.mmio = mmio;
        }

        /**
         * Where.
         *
         * @return a guest-physical address in bytes
         */
        public long address() {
            return kvm_run.mmio.phys_addr(mmio);
        }

        /**
         * How much.
         *
         * @return 1 to 8 bytes
         */
        public int length() {
            return kvm_run.mmio.len(mmio);
        }

        /**
         * What.
         *
         * @return {@link #length()} bytes, unsigned; all 64 bits when there are eight
         */
        public long value() {
            long data = mmio.get(ValueLayout.JAVA_LONG, kvm_run.mmio.data$offset());
            int unused = Long.SIZE - length() * Byte.SIZE;
            return data << unused >>> unused;
        }

        @Override
        public String toString() {
            return String.format("write of 0x%x (%d bytes) at 0x%x", value(), length(), address());
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

    /** {@link Vcpu#kick()} was called; the guest did nothing. */
    enum Interrupted implements VcpuExit {
        /** Kicks tell nothing. */
        INSTANCE;

        @Override
        public String toString() {
            return "interrupted by a kick";
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
     *
     * @param vector the interrupt's vector, 0 to 255
     */
    record IoapicEoi(int vector) implements VcpuExit {
        @Override
        public String toString() {
            return "end of interrupt of vector " + vector;
        }
    }

    /**
     * The guest asks the machine for something, such as to be reset ({@code KVM_EXIT_SYSTEM_EVENT}).
     *
     * @param type a {@code KVM_SYSTEM_EVENT_} number
     * @param data what the event defines
     */
    record SystemEvent(int type, List<Long> data) implements VcpuExit {
        /**
         * Whether the guest wants to be switched off.
         *
         * @return true for {@code KVM_SYSTEM_EVENT_SHUTDOWN}
         */
        public boolean isShutdown() {
            return type == kvm_h.KVM_SYSTEM_EVENT_SHUTDOWN();
        }

        /**
         * Whether the guest wants to be started again.
         *
         * @return true for {@code KVM_SYSTEM_EVENT_RESET}
         */
        public boolean isReset() {
            return type == kvm_h.KVM_SYSTEM_EVENT_RESET();
        }

        @Override
        public String toString() {
            return "system event " + type + " " + data;
        }
    }

    /**
     * The processor refused to enter the guest ({@code KVM_EXIT_FAIL_ENTRY}).
     *
     * @param hardwareReason what the processor says: on Intel's the exit reason of the failed entry, on AMD's the exit
     *        code
     * @param cpu the number of the host's processor
     */
    record FailEntry(long hardwareReason, int cpu) implements VcpuExit {
        @Override
        public String toString() {
            return String.format("failed entry, hardware reason 0x%x on processor %d", hardwareReason, cpu);
        }
    }

    /**
     * KVM itself could not go on ({@code KVM_EXIT_INTERNAL_ERROR}).
     *
     * @param suberror a {@code KVM_INTERNAL_ERROR_} number
     * @param data what the kernel tells about it
     */
    record InternalError(int suberror, List<Long> data) implements VcpuExit {
        @Override
        public String toString() {
            String what = suberror == kvm_h.KVM_INTERNAL_ERROR_EMULATION()
                    ? "an instruction could not be emulated"
                    : suberror == kvm_h.KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON()
                            ? "unexpected exit of the processor"
                            : "suberror " + suberror;
            return "internal error: " + what + data.stream().map(Long::toHexString).toList();
        }
    }

    /**
     * Any other exit: one that a program gets only when it enabled the capability for it, or one that is newer than this
     * library. What it says is in {@link Vcpu#kvmRun()}.
     *
     * @param reason a {@code KVM_EXIT_} number
     * @param hardwareReason what the processor says when the number is that of {@code KVM_EXIT_UNKNOWN}; otherwise the
     *        first bytes of what the exit tells
     */
    record UnknownExit(int reason, long hardwareReason) implements VcpuExit {
        @Override
        public String toString() {
            return String.format("exit %d (0x%x)", reason, hardwareReason);
        }
    }
}
