package dev.kvmvfio.it.kvm;

import static dev.kvmvfio.it.kvm.Assembler.Register.R11;
import static dev.kvmvfio.it.kvm.Assembler.Register.R13;
import static dev.kvmvfio.it.kvm.Assembler.Register.R14;
import static dev.kvmvfio.it.kvm.Assembler.Register.RAX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RCX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RDI;
import static dev.kvmvfio.it.kvm.Assembler.Register.RDX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RSI;
import static dev.kvmvfio.it.kvm.VcpuThreads.result;
import static dev.kvmvfio.it.kvm.VcpuThreads.start;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.kvm_enable_cap;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.it.kvm.Assembler.Label;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.MpState;
import dev.kvmvfio.kvm.Pause;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import dev.kvmvfio.kvm.VcpuExit.MmioRead;
import dev.kvmvfio.kvm.VcpuExit.PortWrite;
import dev.kvmvfio.vmm.LongMode;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The machine's own KVM, on x86-64. A guest counts its rounds in a register and in memory, and ends when they differ. */
@Tag("kvm")
class RealPauseTest extends PauseContract {
    private static final long PAGE = 4096;
    private static final long IDT = 0x9000;
    private static final long IDT_POINTER = 0xa000;
    private static final long CODE = 0x10000;
    private static final long STACK = 0x20000;
    private static final long ROUNDS = 0x30000;
    private static final int VECTOR = 0x40;
    private static final long LOCAL_APIC = 0xfee0_0000L;
    private static final long INTERRUPT_GATE = 0x8e00_0008_0000L;

    private List<String> heldBefore;
    private boolean hasChips;

    @Override
    Kernel open() {
        heldBefore = HeldFiles.now();
        return Kernel.linux();
    }

    @Override
    void end() {
        assertThat(HeldFiles.now()).isEqualTo(heldBefore);
    }

    @Override
    Vcpu guest(Guest kind, int id) {
        if (kind == Guest.HALTS && !hasChips) {
            vm.interrupts().createIrqchip();
            hasChips = true;
        }
        return guest(id, program(kind, id));
    }

    private Vcpu guest(int id, Assembler program) {
        byte[] code = program.assemble();
        MemorySegment.copy(code, 0, ram.segment(), ValueLayout.JAVA_BYTE, program.origin(), code.length);
        Vcpu vcpu = vm.createVcpu(id);
        vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
        vcpu.setMpState(MpState.RUNNABLE);
        LongMode.enter(vcpu, ram.segment(), program.origin(), STACK + (id + 1) * PAGE);
        return vcpu;
    }

    private static Assembler newProgram(int id) {
        return new Assembler(CODE + id * PAGE);
    }

    private Assembler program(Guest kind, int id) {
        Assembler code = newProgram(id);
        Label failed = code.newLabel();
        if (kind == Guest.HALTS) {
            takeInterrupts(code, id);
        }
        code.mov(RDI, ROUNDS + Long.BYTES * id).mov(RSI, DEVICE).mov(RDX, PORT).mov(RCX, 0);
        Label loop = code.here();
        code.load(8, RAX, RDI, 0).cmp(RAX, RCX).jne(failed).add(RCX, 1).store(8, RDI, 0, RCX);
        switch (kind) {
            case EXITS -> code.out(1);
            case SPINS -> code.pause();
            case HALTS -> awaitInterrupt(code);
            case READS -> code.load(4, RAX, RSI, 0).cmp(RAX, ANSWER).jne(failed);
        }
        return code.jmp(loop).place(failed).ud2();
    }

    /** R14 counts the interrupts that came, R11 those that were waited for. */
    private void takeInterrupts(Assembler code, int id) {
        Label start = code.newLabel();
        Label handler = code.jmp(start).here();
        code.push(RAX).add(R14, 1).mov(RAX, 0).store(4, R13, 0xb0, RAX).pop(RAX).iretq();
        code.place(start).mov(RAX, IDT_POINTER).lidt(RAX, 0).out(0x21, 1, 0xff).out(0xa1, 1, 0xff);
        code.mov(R13, LOCAL_APIC).mov(RAX, 0x1ff).store(4, R13, 0xf0, RAX).mov(R14, 0).mov(R11, 0);
        long address = code.addressOf(handler);
        ram.segment().set(ValueLayout.JAVA_LONG, IDT + 16L * (VECTOR + id),
                address & 0xffff | INTERRUPT_GATE | address >> 16 << 48);
        ram.segment().set(ValueLayout.JAVA_SHORT, IDT_POINTER, (short) 0xfff);
        ram.segment().set(ValueLayout.JAVA_LONG_UNALIGNED, IDT_POINTER + Short.BYTES, IDT);
    }

    /** Interrupts are off between the look at the counter and the halt, so none is missed. */
    private static void awaitInterrupt(Assembler code) {
        Label arrived = code.newLabel();
        Label look = code.add(R11, 1).here();
        code.cli().cmp(R14, R11).je(arrived).sti().hlt().jmp(look).place(arrived);
    }

    @Override
    long rounds(int id) {
        return ram.segment().get(ValueLayout.JAVA_LONG, ROUNDS + Long.BYTES * id);
    }

    @Override
    void interrupt(int id) {
        vm.interrupts().signalMsi(LOCAL_APIC | id << 12, VECTOR + id);
    }

    /** What KVM does to the instruction pointer when it goes on after a write undoes nothing. */
    @Test
    void aGuestThatWroteCanBeSentElsewhere() throws Exception {
        Assembler code = newProgram(0).out(PORT, 1, 1).out(PORT, 1, 2).hlt();
        Label elsewhere = code.here();
        Vcpu vcpu = guest(0, code.out(PORT, 1, 3).hlt());
        assertThat(((PortWrite) vcpu.run()).value()).isEqualTo(1);
        result(start(() -> {
            vcpu.x86().updateRegs(regs -> kvm_regs.rbx(regs, 7));
            return null;
        }));
        assertThat(((PortWrite) vcpu.run()).value()).isEqualTo(2);
        result(start(() -> {
            vcpu.x86().updateRegs(regs -> kvm_regs.rip(regs, code.addressOf(elsewhere)));
            return null;
        }));
        assertThat(((PortWrite) vcpu.run()).value()).isEqualTo(3);
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Halt.INSTANCE);
        try (Arena arena = Arena.ofConfined()) {
            assertThat(kvm_regs.rbx(vcpu.x86().regs(arena))).isEqualTo(7);
        }
    }

    /** A read across two pages comes in two exits: what completes one of them brings the next. */
    @Test
    void anInstructionIsCompletedWhenAllOfItIsAnswered() {
        Vcpu vcpu = guest(0, newProgram(0).mov(RSI, DEVICE + PAGE - 4).load(8, RAX, RSI, 0).hlt());
        MmioRead low = (MmioRead) vcpu.run();
        assertThat(List.of(low.address(), (long) low.size())).containsExactly(DEVICE + PAGE - 4, 4L);
        low.answer(0x1111_1111);
        assertThatThrownBy(() -> vcpu.x86().updateRegs(regs -> kvm_regs.rbx(regs, 9)))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("read of 4 bytes at 0xd0001000: answer first");
        MmioRead high = (MmioRead) vcpu.run();
        assertThat(List.of(high.address(), (long) high.size())).containsExactly(DEVICE + PAGE, 4L);
        high.answer(0x2222_2222);
        vcpu.x86().updateRegs(regs -> {
            assertThat(kvm_regs.rax(regs)).isEqualTo(0x2222_2222_1111_1111L);
            kvm_regs.rbx(regs, 9);
        });
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Halt.INSTANCE);
        try (Arena arena = Arena.ofConfined()) {
            assertThat(kvm_regs.rbx(vcpu.x86().regs(arena))).isEqualTo(9);
        }
    }

    /** KVM may hand the values over in one exit or in several. */
    @Test
    void updatesWithinAStringLoseNothing() {
        int count = 300;
        Vcpu vcpu = guest(0, newProgram(0).mov(RDX, PORT).mov(RDI, ROUNDS).mov(RCX, count).repIns(1).hlt());
        int read = 0;
        for (VcpuExit exit = vcpu.run(); exit instanceof VcpuExit.PortRead in; exit = vcpu.run()) {
            in.answer(0x5a);
            read += in.count();
            int left = count - read;
            try {
                vcpu.x86().updateRegs(regs -> {
                    assertThat(kvm_regs.rcx(regs)).isEqualTo(left);
                    kvm_regs.rbx(regs, left);
                });
            } catch (IllegalStateException nextPart) {
                assertThat(nextPart).hasMessageContaining("answer first");
            }
        }
        assertThat(read).isEqualTo(count);
        assertThat(ram.segment().asSlice(ROUNDS, count).toArray(ValueLayout.JAVA_BYTE)).containsOnly(0x5a);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment regs = vcpu.x86().regs(arena);
            assertThat(List.of(kvm_regs.rbx(regs), kvm_regs.rcx(regs))).containsOnly(0L);
        }
    }

    /** Of an exit that the library has no type for it does not see the answer. */
    @Test
    void anMsrThatIsNotAnsweredIsNotWrittenOver() throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment capability = kvm_enable_cap.allocate(arena);
            kvm_enable_cap.cap(capability, kvm_h.KVM_CAP_X86_USER_SPACE_MSR());
            kvm_enable_cap.args(capability, 0, kvm_h.KVM_MSR_EXIT_REASON_UNKNOWN());
            vm.fd().call(new Ioctl("KVM_ENABLE_CAP", kvm_h.KVM_ENABLE_CAP()), capability);
            Vcpu vcpu = guest(0, newProgram(0).mov(RCX, 0x1234_5678).bytes(0x0f, 0x32).hlt());
            assertThat(((VcpuExit.UnknownExit) vcpu.run()).reason()).isEqualTo(kvm_h.KVM_EXIT_X86_RDMSR());
            assertThat(kvm_regs.rcx(result(start(() -> vcpu.x86().regs(Arena.ofAuto()))))).isEqualTo(0x1234_5678);
            assertThatThrownBy(() -> vcpu.x86().updateRegs(regs -> kvm_regs.rip(regs, 0)))
                    .isInstanceOf(IllegalStateException.class).hasMessageContaining("answer first");
            CountDownLatch paused = new CountDownLatch(1);
            FutureTask<Void> writing = start(() -> {
                try (Pause _ = vcpu.pause()) {
                    paused.countDown();
                    addToRbxInTheEnd(vcpu);
                }
                return null;
            });
            paused.await();
            kvm_run.msr.data(kvm_run.msr(vcpu.kvmRun()), 0x1_0000_0002L);
            assertThat(vcpu.run()).isEqualTo(VcpuExit.Halt.INSTANCE);
            result(writing);
            assertThat(rbx(vcpu)).isEqualTo(1);
            MemorySegment regs = vcpu.x86().regs(arena);
            assertThat(List.of(kvm_regs.rax(regs), kvm_regs.rdx(regs))).containsExactly(2L, 1L);
        }
    }
}
