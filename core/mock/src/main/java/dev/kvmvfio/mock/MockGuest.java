package dev.kvmvfio.mock;

import dev.kvmvfio.mock.internal.kvm.VcpuFile;
import dev.kvmvfio.mock.internal.kvm.VirtualMachine;
import dev.kvmvfio.mock.internal.system.Machine;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * What the code in a virtual machine would do and see. No processor's code runs on the mock kernel: a test
 * does it instead, or gives a vCPU a {@linkplain #program program} in Java.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class MockGuest {
    private final Machine machine;
    private final VirtualMachine vm;

    MockGuest(Machine machine, VirtualMachine vm) {
        this.machine = machine;
        this.vm = vm;
    }

    /**
     * Gives a vCPU the code that {@code KVM_RUN} runs. When the code has ended the vCPU halts for ever; what it throws,
     * {@code KVM_RUN} throws.
     *
     * @param vcpu the vCPU's id
     * @param code runs on a thread of its own, while the program is in {@code KVM_RUN}
     * @throws IllegalArgumentException when there is no such vCPU
     * @throws IllegalStateException when it has code already
     */
    public void program(int vcpu, Consumer<? super MockCpu> code) {
        machine.locked(() -> {
            VcpuFile file = vm.vcpu(vcpu);
            if (file == null) {
                throw new IllegalArgumentException("there is no vCPU " + vcpu);
            }
            file.program(thread -> code.accept(new MockCpu(vm, thread)));
        });
    }

    /**
     * How many interrupts the guest got.
     *
     * @param gsi the global system interrupt
     * @return the number since the VM was made
     */
    public long interrupts(int gsi) {
        return machine.locked(() -> vm.interrupts().count(gsi));
    }

    /**
     * The guest is done with an interrupt. Its line falls, and the eventfd for that is signalled.
     *
     * @param gsi the global system interrupt
     */
    public void acknowledge(int gsi) {
        machine.locked(() -> vm.irqFds().acknowledge(gsi));
    }

    /**
     * The guest reads memory.
     *
     * @param guestPhysicalAddress where, in bytes
     * @param size in bytes
     * @return a copy; empty when some of it is no memory, so that the program would have to answer
     */
    public Optional<MemorySegment> readMemory(long guestPhysicalAddress, long size) {
        return machine.locked(() -> Optional.ofNullable(vm.slots().read(guestPhysicalAddress, size)));
    }

    /**
     * The guest writes to memory, and the slot's dirty log shows it.
     *
     * @param guestPhysicalAddress where, in bytes
     * @param from what
     * @return whether it was written; false when some of it is no memory or read-only, so that the program would have
     *         to take it
     */
    public boolean writeMemory(long guestPhysicalAddress, MemorySegment from) {
        return machine.locked(() -> vm.slots().write(guestPhysicalAddress, from));
    }

    /**
     * The guest writes to an address that is not memory.
     *
     * @param guestPhysicalAddress where, in bytes
     * @param size 1, 2, 4 or 8 bytes
     * @param value what
     * @return whether an eventfd took the write; otherwise the program would have to
     */
    public boolean writeMmio(long guestPhysicalAddress, int size, long value) {
        return machine.locked(() -> vm.ioEventFds().write(false, guestPhysicalAddress, size, value));
    }

    /**
     * The guest writes to a port.
     *
     * @param port its number
     * @param size 1, 2 or 4 bytes
     * @param value what
     * @return whether an eventfd took the write; otherwise the program would have to
     */
    public boolean writePort(int port, int size, long value) {
        return machine.locked(() -> vm.ioEventFds().write(true, port, size, value));
    }
}
