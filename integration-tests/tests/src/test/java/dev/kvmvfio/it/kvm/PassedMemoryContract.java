package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Memory that is passed to KVM by its address, on the mock and the real KVM: what it must be. */
abstract class PassedMemoryContract {
    static final Ioctl GET_SREGS = new Ioctl("KVM_GET_SREGS", kvm_x86_64_h.KVM_GET_SREGS());
    /** A register of eight bytes. */
    private static final long REGISTER = 0x0030_0000_0000_0000L;

    final Arena arena = Arena.ofConfined();
    Kvm kvm;
    Vm vm;
    Vcpu vcpu;

    /** The kernel to run on. */
    abstract Kernel start();

    /** Fails when anything is open that was not before {@link #start}. */
    abstract void assertNothingLeft();

    @BeforeEach
    final void open() {
        kvm = Kvm.open(start());
        vm = kvm.createVm();
        vm.interrupts().createIrqchip();
        vcpu = vm.createVcpu(0);
    }

    @AfterEach
    final void close() {
        kvm.close();
        arena.close();
        assertNothingLeft();
    }

    private static void assertRefused(ThrowingCallable call, String name, Object file, String why) {
        assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith(name + " on " + file)
                .hasMessageContaining(why);
    }

    @Test
    void memoryThatTheKernelWritesIsNotReadOnly() {
        MemorySegment readOnly = arena.allocate(8).asReadOnly();
        assertRefused(() -> vm.attr(0, 0, readOnly), "KVM_GET_DEVICE_ATTR", vm, "read-only");
        assertRefused(() -> vcpu.oneReg(REGISTER, readOnly), "KVM_GET_ONE_REG", vcpu, "read-only");
        assertRefused(() -> vcpu.x86().regs((size, alignment) -> arena.allocate(size, alignment).asReadOnly()),
                "KVM_GET_REGS", vcpu, "read-only");
    }

    @Test
    void itIsNotOnTheHeap() {
        MemorySegment heap = MemorySegment.ofArray(new long[1]);
        assertRefused(() -> vm.attr(0, 0, heap), "KVM_GET_DEVICE_ATTR", vm, "heap");
        assertRefused(() -> vm.setAttr(0, 0, heap), "KVM_SET_DEVICE_ATTR", vm, "heap");
        assertRefused(() -> vm.trySetAttr(0, 0, heap), "KVM_SET_DEVICE_ATTR", vm, "heap");
        assertRefused(() -> vcpu.oneReg(REGISTER, heap), "KVM_GET_ONE_REG", vcpu, "heap");
        assertRefused(() -> vcpu.setOneReg(REGISTER, heap), "KVM_SET_ONE_REG", vcpu, "heap");
        assertRefused(() -> vcpu.x86().sregs((size, _) -> MemorySegment.ofArray(new long[(int) size / 8])),
                "KVM_GET_SREGS", vcpu, "heap");
        // Below the library's own check, the kernels are alike.
        Kernel kernel = vcpu.fd().kernel();
        int fd = vcpu.fd().number();
        assertThatThrownBy(() -> kernel.ioctl(fd, GET_SREGS.number(), heap))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("Heap segment not allowed");
        assertThatThrownBy(() -> kernel.read(fd, heap)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("Heap segment not allowed");
    }

    @Test
    void itIsAsLargeAsWhatTheKernelWrites() {
        MemorySegment around = arena.allocate(kvm_sregs.sizeof() + 8);
        around.fill((byte) 0x5a);
        assertRefused(() -> vcpu.fd().call(GET_SREGS, around.asSlice(0, 8)), "KVM_GET_SREGS", vcpu,
                "takes " + kvm_sregs.sizeof() + " bytes of memory, and this segment has 8");
        vcpu.fd().call(GET_SREGS, around.asSlice(0, kvm_sregs.sizeof()));
        assertThatThrownBy(() -> vcpu.oneReg(REGISTER, arena.allocate(4))).isInstanceOf(IllegalArgumentException.class)
                .hasMessage("register 0x30000000000000 of " + vcpu + " has 8 bytes, and this segment has 4");
    }
}
