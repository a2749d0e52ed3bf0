package dev.kvmvfio.mock;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;
import java.util.function.Supplier;

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

    private final Vm vm;
    private final Machine machine;
    private final MemorySegment run;
    private final Thread thread;
    private boolean running;
    private boolean exited;
    private boolean stopped;
    private boolean begun;
    private Runnable completion;
    private Throwable failure;
    private long interruptsSeen;

    MockCpu(Vm vm, String name, MemorySegment run, Consumer<? super MockCpu> program) {
        this.vm = vm;
        this.machine = vm.machine();
        this.run = run;
        this.thread = Thread.ofPlatform().daemon().name("guest of " + name).unstarted(() -> execute(program));
    }

    /** Unwinds the guest's code when its vCPU is gone. */
    private static final class Gone extends Error {
        private static final long serialVersionUID = 1;

        Gone() {
            super("the vCPU is gone", null, false, false);
        }
    }

    private void execute(Consumer<? super MockCpu> program) {
        try {
            inGuest(() -> null);
            program.accept(this);
            while (true) {
                halt();
            }
        } catch (Gone end) {
            // The thread ends.
        } catch (RuntimeException | Error failed) {
            machine.locked(() -> {
                failure = failed;
                machine.changed();
            });
        }
    }

    /** {@code KVM_RUN}: lets the guest's code go on until it exits. */
    long run() {
        running = true;
        try {
            enter();
            return 0;
        } finally {
            running = false;
        }
    }

    boolean hasBegun() {
        return begun;
    }

    private void enter() {
        if (completion != null) {
            completion.run();
            completion = null;
        }
        VcpuFile.refuseImmediateExit(run);
        exited = false;
        if (!begun) {
            begun = true;
            thread.start();
        }
        machine.changed();
        while (!exited) {
            throwFailure();
            if (stopped) {
                throw new IllegalStateException("the mock kernel was closed during KVM_RUN");
            }
            try {
                machine.awaitOrInterrupt(Long.MAX_VALUE);
            } catch (Refusal interrupted) {
                if (!exited) {
                    kvm_run.exit_reason(run, kvm_h.KVM_EXIT_INTR());
                    throw interrupted;
                }
            }
        }
    }

    private void throwFailure() {
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure != null) {
            throw (RuntimeException) failure;
        }
    }

    /** The vCPU is gone: its code ends where it is. */
    void stop() {
        stopped = true;
        thread.interrupt();
        machine.changed();
    }

    /** Waits for the end of the code of a vCPU that is gone. */
    void join() {
        boolean interrupted = false;
        try {
            thread.join(10_000);
        } catch (InterruptedException interruption) {
            interrupted = true;
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        if (thread.isAlive()) {
            throw new AssertionError("the " + thread.getName() + " does not end");
        }
    }

    /** Does something while the program is in {@code KVM_RUN}. */
    private <T> T inGuest(Supplier<T> action) {
        return machine.locked(() -> {
            awaitRun();
            return action.get();
        });
    }

    private void awaitRun() {
        while (!running || exited) {
            pause();
        }
    }

    private void pause() {
        if (stopped) {
            throw new Gone();
        }
        try {
            machine.await();
        } catch (Refusal interrupted) {
            throw new Gone();
        }
    }

    /** Leaves to the program and waits until it is back. */
    private void leave(int reason, Runnable done) {
        kvm_run.exit_reason(run, reason);
        completion = done;
        exited = true;
        machine.changed();
        awaitRun();
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
        inGuest(() -> {
            refuseChip(true, port);
            if (!vm.ioEventFds().write(true, port, size, truncated(value, size))) {
                port(kvm_h.KVM_EXIT_IO_OUT(), port, size);
                put(run.asSlice(PORT_DATA), size, value);
                leave(kvm_h.KVM_EXIT_IO(), null);
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
        inGuest(() -> {
            refuseChip(true, port);
            port(kvm_h.KVM_EXIT_IO_IN(), port, size);
            leave(kvm_h.KVM_EXIT_IO(), () -> answer[0] = get(run.asSlice(PORT_DATA), size));
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
        inGuest(() -> {
            MemorySegment bytes = Argument.allocate(Long.BYTES);
            put(bytes, size, value);
            if (vm.slots().write(guestPhysicalAddress, bytes.asSlice(0, size))) {
                return null;
            }
            refuseChip(false, guestPhysicalAddress);
            if (!vm.ioEventFds().write(false, guestPhysicalAddress, size, truncated(value, size))) {
                MemorySegment mmio = mmio(guestPhysicalAddress, size, true);
                MemorySegment.copy(bytes, 0, kvm_run.mmio.data(mmio), 0, Long.BYTES);
                leave(kvm_h.KVM_EXIT_MMIO(), null);
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
        return inGuest(() -> {
            MemorySegment memory = vm.slots().read(guestPhysicalAddress, size);
            if (memory != null) {
                return get(memory, size);
            }
            refuseChip(false, guestPhysicalAddress);
            MemorySegment mmio = mmio(guestPhysicalAddress, size, false);
            long[] answer = new long[1];
            leave(kvm_h.KVM_EXIT_MMIO(), () -> answer[0] = get(kvm_run.mmio.data(mmio), size));
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
        inGuest(() -> {
            if (!vm.interrupts().exists()) {
                leave(kvm_h.KVM_EXIT_HLT(), null);
                return null;
            }
            while (vm.interrupts().arrived() == interruptsSeen) {
                pause();
            }
            interruptsSeen = vm.interrupts().arrived();
            awaitRun();
            return null;
        });
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
        inGuest(() -> {
            fill.accept(run);
            leave(reason, null);
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
