package dev.kvmvfio.mock;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.mock.internal.kvm.GuestThread;
import dev.kvmvfio.mock.internal.kvm.VirtualMachine;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/**
 * What a guest's code can do on a vCPU. The code is Java, given to {@link MockGuest#program}, and goes on while the
 * program is in {@code KVM_RUN}: what only the program can answer makes that call return, and the next one goes on
 * from there.
 *
 * <pre>{@code
 * kernel.guest(vm.fd().number()).program(0, cpu -> {
 *     cpu.out(0x3f8, 1, 'A');
 *     cpu.write(0x1000, 4, cpu.in(0x60, 1));
 *     cpu.halt();
 * });
 * }</pre>
 *
 * <p>The registers of a vCPU are not those of this code: setting them does not move it. An interrupt runs no handler; it
 * ends a {@link #halt()}.
 *
 * <p><b>Thread-safety:</b> for the guest's code only, which has a thread of its own.
 */
public final class MockCpu {
    private static final long PORT_DATA = PhysicalMemory.PAGE;

    private final VirtualMachine vm;
    private final GuestThread thread;
    private final MemorySegment run;

    MockCpu(VirtualMachine vm, GuestThread thread) {
        this.vm = vm;
        this.thread = thread;
        this.run = thread.shared();
    }

    /**
     * Writes to a port. An eventfd of {@code KVM_IOEVENTFD} may take it; otherwise the program gets it.
     *
     * @param port its number
     * @param size 1, 2 or 4 bytes
     * @param value of which the lowest bytes count
     */
    public void out(int port, int size, int value) {
        checkSize(size, Integer.BYTES);
        thread.inGuest(() -> {
            refuseChip(true, port);
            if (!vm.ioEventFds().write(true, port, size, truncated(value, size))) {
                port(kvm_h.KVM_EXIT_IO_OUT(), port, size);
                put(run.asSlice(PORT_DATA), size, value);
                thread.leave(kvm_h.KVM_EXIT_IO(), null);
            }
            return null;
        });
    }

    /**
     * Reads from a port.
     *
     * @param port its number
     * @param size 1, 2 or 4 bytes
     * @return what the program answered, unsigned
     */
    public int in(int port, int size) {
        checkSize(size, Integer.BYTES);
        long[] answer = new long[1];
        thread.inGuest(() -> {
            refuseChip(true, port);
            port(kvm_h.KVM_EXIT_IO_IN(), port, size);
            thread.leave(kvm_h.KVM_EXIT_IO(), () -> answer[0] = get(run.asSlice(PORT_DATA), size));
            return null;
        });
        return (int) answer[0];
    }

    private void port(int direction, int port, int size) {
        MemorySegment io = kvm_run.io(run);
        kvm_run.io.direction(io, (byte) direction);
        kvm_run.io.port(io, (short) port);
        kvm_run.io.size(io, (byte) size);
        kvm_run.io.count(io, 1);
        kvm_run.io.data_offset(io, PORT_DATA);
    }

    /**
     * Writes to an address: to the memory that is there, to an eventfd of {@code KVM_IOEVENTFD}, or else to the program.
     *
     * @param guestPhysicalAddress where, a multiple of the size
     * @param size 1, 2, 4 or 8 bytes
     * @param value of which the lowest bytes count
     */
    public void write(long guestPhysicalAddress, int size, long value) {
        checkAddress(guestPhysicalAddress, size);
        thread.inGuest(() -> {
            MemorySegment bytes = Argument.allocate(Long.BYTES);
            put(bytes, size, value);
            if (vm.slots().write(guestPhysicalAddress, bytes.asSlice(0, size))) {
                return null;
            }
            refuseChip(false, guestPhysicalAddress);
            if (!vm.ioEventFds().write(false, guestPhysicalAddress, size, truncated(value, size))) {
                MemorySegment mmio = mmio(guestPhysicalAddress, size, true);
                MemorySegment.copy(bytes, 0, kvm_run.mmio.data(mmio), 0, Long.BYTES);
                thread.leave(kvm_h.KVM_EXIT_MMIO(), null);
            }
            return null;
        });
    }

    /**
     * Reads from an address: from the memory that is there, or else from the program.
     *
     * @param guestPhysicalAddress where, a multiple of the size
     * @param size 1, 2, 4 or 8 bytes
     * @return the value, unsigned
     */
    public long read(long guestPhysicalAddress, int size) {
        checkAddress(guestPhysicalAddress, size);
        return thread.inGuest(() -> {
            MemorySegment memory = vm.slots().read(guestPhysicalAddress, size);
            if (memory != null) {
                return get(memory, size);
            }
            refuseChip(false, guestPhysicalAddress);
            MemorySegment mmio = mmio(guestPhysicalAddress, size, false);
            long[] answer = new long[1];
            thread.leave(kvm_h.KVM_EXIT_MMIO(), () -> answer[0] = get(kvm_run.mmio.data(mmio), size));
            return answer[0];
        });
    }

    private void refuseChip(boolean port, long address) {
        if (vm.interrupts().hasRegister(port, address)) {
            throw new NotModelledException(
                    String.format("an access of the guest to a chip in the kernel, at 0x%x,", address));
        }
    }

    private MemorySegment mmio(long address, int size, boolean write) {
        MemorySegment mmio = kvm_run.mmio(run);
        kvm_run.mmio.phys_addr(mmio, address);
        kvm_run.mmio.len(mmio, size);
        kvm_run.mmio.is_write(mmio, (byte) (write ? 1 : 0));
        return mmio;
    }

    /**
     * Waits for an interrupt, with interrupts enabled. Where the kernel has no interrupt controller the program is told,
     * and the guest goes on with the next {@code KVM_RUN}; otherwise the guest waits in the kernel until an interrupt
     * has come since the last halt.
     */
    public void halt() {
        thread.halt();
    }

    /** Meets a triple fault. */
    public void shutdown() {
        exit(kvm_h.KVM_EXIT_SHUTDOWN(), _ -> {
        });
    }

    /**
     * Leaves to the program in any other way.
     *
     * @param reason a {@code KVM_EXIT_} number
     * @param fill writes what the exit tells into {@code struct kvm_run}, as the kernel would
     */
    public void exit(int reason, Consumer<? super MemorySegment> fill) {
        thread.inGuest(() -> {
            fill.accept(run);
            thread.leave(reason, null);
            return null;
        });
    }

    private static void checkSize(int size, int most) {
        if (size < 1 || size > most || Integer.bitCount(size) != 1) {
            throw new IllegalArgumentException("a processor does not access " + size + " bytes so");
        }
    }

    private static void checkAddress(long address, int size) {
        checkSize(size, Long.BYTES);
        if ((address & size - 1) != 0) {
            throw new IllegalArgumentException(
                    String.format("the address 0x%x is not a multiple of the size %d", address, size));
        }
    }

    private static long truncated(long value, int size) {
        int unused = Long.SIZE - size * Byte.SIZE;
        return value << unused >>> unused;
    }

    private static void put(MemorySegment memory, int size, long value) {
        switch (size) {
            case Byte.BYTES -> memory.set(JAVA_BYTE, 0, (byte) value);
            case Short.BYTES -> memory.set(JAVA_SHORT_UNALIGNED, 0, (short) value);
            case Integer.BYTES -> memory.set(JAVA_INT_UNALIGNED, 0, (int) value);
            default -> memory.set(JAVA_LONG, 0, value);
        }
    }

    private static long get(MemorySegment memory, int size) {
        return switch (size) {
            case Byte.BYTES -> Byte.toUnsignedLong(memory.get(JAVA_BYTE, 0));
            case Short.BYTES -> Short.toUnsignedLong(memory.get(JAVA_SHORT_UNALIGNED, 0));
            case Integer.BYTES -> Integer.toUnsignedLong(memory.get(JAVA_INT_UNALIGNED, 0));
            default -> memory.get(JAVA_LONG, 0);
        };
    }
}
