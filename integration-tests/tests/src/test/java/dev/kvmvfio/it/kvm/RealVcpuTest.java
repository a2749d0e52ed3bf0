package dev.kvmvfio.it.kvm;

import static dev.kvmvfio.it.kvm.Assembler.Register.RAX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RBX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RCX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RDI;
import static dev.kvmvfio.it.kvm.Assembler.Register.RDX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RSI;
import static dev.kvmvfio.it.kvm.VcpuThreads.result;
import static dev.kvmvfio.it.kvm.VcpuThreads.start;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import com.sun.management.ThreadMXBean;
import dev.kvmvfio.bindings.kvm.kvm_enable_cap;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_guest_debug;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_segment;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.GuestException;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MpState;
import dev.kvmvfio.kvm.SlotFlag;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import dev.kvmvfio.kvm.VcpuExit.MmioRead;
import dev.kvmvfio.kvm.VcpuExit.MmioWrite;
import dev.kvmvfio.kvm.VcpuExit.PortRead;
import dev.kvmvfio.kvm.VcpuExit.PortWrite;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.kvm.x86.CpuidEntry;
import dev.kvmvfio.kvm.x86.X86Exit;
import dev.kvmvfio.vmm.LongMode;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Small guests without an operating system on the machine's own KVM, on x86-64. All but one begin in 64-bit mode; the
 * other shows that real mode runs as well, also on a KVM without hardware virtualisation behind it.
 */
@Tag("kvm")
@Timeout(600)
class RealVcpuTest {
    private static final long PAGE = 4096;
    private static final long ENTRY = 0x10000;
    private static final long STACK = 0x20000;
    private static final long DATA = 0x30000;
    /** No memory is there. */
    private static final long DEVICE = 0xd000_0000L;
    private static final int PORT = 0x3f8;
    private static final int KICKS = 5000;

    private final Kvm kvm = Kvm.open();
    private final Vm vm = kvm.createVm();
    private final HostMemory ram = HostMemory.allocate(Kernel.linux(), 1 << 20);

    @AfterEach
    void close() {
        kvm.close();
        ram.close();
    }

    private static Assembler program() {
        return new Assembler(ENTRY);
    }

    private Vcpu guest(Assembler program) {
        vm.memory().add(0, ram);
        return guest(0, program);
    }

    private Vcpu guest(int id, Assembler program) {
        byte[] code = program.assemble();
        MemorySegment.copy(code, 0, ram.segment(), ValueLayout.JAVA_BYTE, program.origin(), code.length);
        Vcpu vcpu = vm.createVcpu(id);
        vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
        LongMode.enter(vcpu, ram.segment(), program.origin(), STACK);
        return vcpu;
    }

    private static <E extends VcpuExit> E next(Vcpu vcpu, Class<E> kind) {
        VcpuExit exit = vcpu.run();
        assertThat(exit).isInstanceOf(kind);
        return kind.cast(exit);
    }

    private static void halts(Vcpu vcpu) {
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Halt.INSTANCE);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4})
    void writesToAPort(int size) {
        Vcpu vcpu = guest(program().out(PORT, size, 0x8182_8384).hlt());
        PortWrite out = next(vcpu, PortWrite.class);
        assertThat(out.port()).isEqualTo(PORT);
        assertThat(out.size()).isEqualTo(size);
        assertThat(out.count()).isEqualTo(1);
        assertThat(out.value()).isEqualTo(size == 1 ? 0x84 : size == 2 ? 0x8384 : 0x8182_8384);
        assertThatThrownBy(() -> out.value(1)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThat(out.toString()).isEqualTo("write of 0x" + Integer.toHexString(out.value()) + " to port 0x3f8 ("
                + (size == 1 ? "1 byte)" : size + " bytes)"));
        halts(vcpu);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4})
    void readsFromAPort(int size) {
        Vcpu vcpu = guest(program().mov(RAX, 0).in(0x60, size).out(size).hlt());
        PortRead in = next(vcpu, PortRead.class);
        assertThat(in).hasToString("read from port 0x60 (" + (size == 1 ? "1 byte)" : size + " bytes)"));
        assertThat(in.count()).isEqualTo(1);
        in.answer(0x9192_9394);
        assertThat(next(vcpu, PortWrite.class).value())
                .isEqualTo(size == 1 ? 0x94 : size == 2 ? 0x9394 : 0x9192_9394);
        halts(vcpu);
    }

    /** KVM may hand the values over in one exit or in several. */
    @Test
    void writesAString() {
        Vcpu vcpu = guest(program().mov(RDX, PORT).mov(RSI, DATA).mov(RCX, 3).repOuts(2).hlt());
        ram.segment().setString(DATA, "abcdef");
        StringBuilder written = new StringBuilder();
        VcpuExit exit = vcpu.run();
        for (; exit instanceof PortWrite out; exit = vcpu.run()) {
            assertThat(out.size()).isEqualTo(2);
            for (int i = 0; i < out.count(); i++) {
                written.append((char) (out.value(i) & 0xff)).append((char) (out.value(i) >> 8));
            }
        }
        assertThat(exit).isEqualTo(VcpuExit.Halt.INSTANCE);
        assertThat(written).hasToString("abcdef");
    }

    @Test
    void readsAString() {
        Vcpu vcpu = guest(program().mov(RDX, PORT).mov(RDI, DATA).mov(RCX, 3).repIns(4).hlt());
        int given = 0;
        VcpuExit exit = vcpu.run();
        for (; exit instanceof PortRead in; exit = vcpu.run()) {
            for (int i = 0; i < in.count(); i++) {
                in.answer(i, ++given * 0x1010_1010);
            }
        }
        assertThat(exit).isEqualTo(VcpuExit.Halt.INSTANCE);
        assertThat(ram.segment().asSlice(DATA, 12).toArray(ValueLayout.JAVA_INT)).containsExactly(0x1010_1010,
                0x2020_2020, 0x3030_3030);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4, 8})
    void readsAndWritesADevice(int size) {
        long value = 0x8182_8384_8586_8788L;
        long expected = size == 8 ? value : value & (1L << 8 * size) - 1;
        Vcpu vcpu = guest(program().mov(RBX, DEVICE).mov(RAX, 0).load(size, RAX, RBX, 16).store(size, RBX, 24, RAX)
                .hlt());
        MmioRead read = next(vcpu, MmioRead.class);
        assertThat(read.address()).isEqualTo(DEVICE + 16);
        assertThat(read.size()).isEqualTo(size);
        assertThat(read).hasToString("read of " + size + " bytes at 0xd0000010");
        read.answer(value);
        MmioWrite write = next(vcpu, MmioWrite.class);
        assertThat(write.address()).isEqualTo(DEVICE + 24);
        assertThat(write.size()).isEqualTo(size);
        assertThat(write.value()).isEqualTo(expected);
        assertThat(write).hasToString("write of 0x" + Long.toHexString(expected) + " (" + size
                + " bytes) at 0xd0000018");
        halts(vcpu);
    }

    @Test
    void aWriteToReadOnlyMemoryExits() {
        try (HostMemory rom = HostMemory.allocate(Kernel.linux(), PAGE)) {
            rom.segment().set(ValueLayout.JAVA_INT, 0, 0x1234);
            vm.memory().add(DEVICE, rom, SlotFlag.READ_ONLY);
            Vcpu vcpu = guest(program().mov(RBX, DEVICE).load(4, RAX, RBX, 0).store(4, RBX, 4, RAX).hlt());
            MmioWrite write = next(vcpu, MmioWrite.class);
            assertThat(write.address()).isEqualTo(DEVICE + 4);
            assertThat(write.value()).isEqualTo(0x1234);
            halts(vcpu);
            vm.close();
        }
    }

    @Test
    void aTripleFaultShutsDown() {
        Vcpu vcpu = guest(program().ud2());
        VcpuExit exit = vcpu.run();
        assertThat(exit).isEqualTo(VcpuExit.Shutdown.INSTANCE);
        assertThat(vcpu.unhandled(exit)).isInstanceOf(GuestException.class)
                .hasMessageStartingWith(vcpu + ": shutdown (triple fault) at rip 0x")
                .hasMessageEndingWith("is not handled. An exception could not be delivered: check the guest's page "
                        + "tables, its interrupt table and its stack");
        vm.close();
        assertThat(vcpu.isOpen()).isFalse();
    }

    /** Code cannot be fetched from what is no memory. */
    @Test
    void codeThatCannotBeFetchedIsAnInternalError() {
        Vcpu vcpu = guest(program().mov(RAX, DEVICE).bytes(0xff, 0xe0));
        VcpuExit.InternalError error = next(vcpu, VcpuExit.InternalError.class);
        assertThat(error.toString()).startsWith("internal error: an instruction could not be emulated");
        assertThat(vcpu.unhandled(error)).hasMessageContaining(" at rip 0xd0000000 is not handled. KVM cannot go on");
    }

    @Test
    void anExitThatIsNotHandledSaysWhatToDo() {
        Vcpu vcpu = guest(program().out(PORT, 1, 'A').mov(RBX, DEVICE).load(4, RAX, RBX, 0).hlt());
        assertThat(vcpu.unhandled(vcpu.run())).hasMessageStartingWith(vcpu + ": write of 0x41 to port 0x3f8 (1 byte)")
                .hasMessageEndingWith("is not handled. Answer for this port in the program's loop");
        assertThat(vcpu.unhandled(vcpu.run())).hasMessageContaining("read of 4 bytes at 0xd0000000 at rip 0x")
                .hasMessageEndingWith("Add a memory slot for this address, or answer for it in the program's loop");
        assertThat(vcpu.unhandled(vcpu.run())).hasMessageContaining("halt at rip 0x")
                .hasMessageEndingWith("create an irqchip, or inject one");
    }

    @Test
    void aKickIsAnsweredOnceAndTheGuestGoesOn() {
        Vcpu vcpu = guest(program().out(PORT, 1, 1).out(PORT, 1, 2).hlt());
        vcpu.kick();
        vcpu.kick();
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Interrupted.INSTANCE);
        assertThat(next(vcpu, PortWrite.class).value()).isEqualTo(1);
        vcpu.kick();
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Interrupted.INSTANCE);
        assertThat(next(vcpu, PortWrite.class).value()).isEqualTo(2);
        halts(vcpu);
    }

    /** What is read from a port arrives before a kick is answered, as from a real device. */
    @Test
    void aKickLosesNoAnswer() {
        Vcpu vcpu = guest(program().mov(RAX, 0).in(0x60, 1).out(1).hlt());
        next(vcpu, PortRead.class).answer(0x77);
        vcpu.kick();
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Interrupted.INSTANCE);
        assertThat(next(vcpu, PortWrite.class).value()).isEqualTo(0x77);
    }

    /** The guest never exits by itself, so each kick must reach it wherever it is. */
    @Test
    void noKickIsLost() throws Exception {
        Assembler program = program();
        Vcpu vcpu = guest(program.jmp(program.here()));
        VcpuThreads.assertEachKickIsAnswered(vcpu, KICKS, exit -> fail("%s", exit));
    }

    /** Kicks come at any moment, also while an exit is being answered. */
    @Test
    void kicksThatRaceWithExitsAreAnsweredToo() throws Exception {
        Assembler program = program();
        Assembler.Label loop = program.mov(RDX, PORT).here();
        Vcpu vcpu = guest(program.out(1).jmp(loop));
        VcpuThreads.assertEachKickIsAnswered(vcpu, KICKS, exit -> assertThat(exit).isInstanceOf(PortWrite.class));
    }

    @Test
    void aVcpuIsOneThread() throws Exception {
        Vcpu vcpu = guest(program().out(PORT, 1, 1).hlt());
        next(vcpu, PortWrite.class);
        assertThatThrownBy(() -> result(start(vcpu::run))).isInstanceOf(IllegalStateException.class)
                .hasMessageStartingWith(vcpu + " runs on " + Thread.currentThread() + " only, and was called from ")
                .hasMessageContaining("vCPU,");
        halts(vcpu);
    }

    @Test
    void aVirtualThreadRunsNoVcpu() throws Exception {
        Vcpu vcpu = guest(program().hlt());
        FutureTask<VcpuExit> task = new FutureTask<>(vcpu::run);
        Thread.ofVirtual().start(task);
        assertThatThrownBy(() -> result(task)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("a virtual thread: a vCPU is one platform thread");
        halts(vcpu);
    }

    /** Several threads come at once, and the first one keeps the vCPU. */
    @Test
    void oneOfManyThreadsRunsAVcpu() throws Exception {
        Vcpu vcpu = guest(program().hlt());
        CountDownLatch left = new CountDownLatch(8);
        List<FutureTask<VcpuExit>> runs = Stream.generate(() -> start(() -> {
            try {
                return vcpu.run();
            } finally {
                left.countDown();
                left.await();
            }
        })).limit(8).toList();
        int exits = 0;
        for (FutureTask<VcpuExit> run : runs) {
            try {
                assertThat(result(run)).isEqualTo(VcpuExit.Halt.INSTANCE);
                exits++;
            } catch (IllegalStateException refused) {
                assertThat(refused).hasMessageContaining(" only, and was called from ");
            }
        }
        assertThat(exits).isEqualTo(1);
    }

    @Test
    void registersAreReadWhileTheGuestRuns() throws Exception {
        Assembler program = program().mov(RAX, 7);
        Vcpu vcpu = guest(program.jmp(program.here()));
        FutureTask<VcpuExit> running = start(vcpu::run);
        Thread.sleep(50);
        try (Arena arena = Arena.ofConfined()) {
            assertThat(kvm_regs.rax(vcpu.x86().regs(arena))).isEqualTo(7);
        }
        assertThat(running.isDone()).isFalse();
        vcpu.kick();
        assertThat(result(running)).isEqualTo(VcpuExit.Interrupted.INSTANCE);
    }

    @Test
    void aClosedVcpuDoesNothing() {
        Vcpu vcpu = guest(program().in(0x60, 1).hlt());
        PortRead in = next(vcpu, PortRead.class);
        MemorySegment shared = vcpu.kvmRun();
        vcpu.close();
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Closed.INSTANCE);
        assertThatThrownBy(vcpu::run).isInstanceOf(IllegalStateException.class).hasMessageEndingWith("is closed");
        assertThatThrownBy(vcpu::kick).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> in.answer(1)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> kvm_run.exit_reason(shared)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> vcpu.mpState()).isInstanceOf(IllegalStateException.class);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void closingStopsTheGuest(boolean wholeVm) throws Exception {
        for (int round = 0; round < 20; round++) {
            try (Vm machine = kvm.createVm()) {
                machine.memory().add(0, ram);
                Assembler program = program().mov(RBX, DATA).mov(RAX, 1).store(8, RBX, 0, RAX);
                byte[] code = program.jmp(program.here()).assemble();
                ram.segment().asSlice(ENTRY, code.length).copyFrom(MemorySegment.ofArray(code));
                ram.segment().set(ValueLayout.JAVA_LONG, DATA, 0);
                Vcpu vcpu = machine.createVcpu(0);
                vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
                LongMode.enter(vcpu, ram.segment(), ENTRY, STACK);
                FutureTask<VcpuExit> running = start(vcpu::run);
                if (round % 4 != 0) {
                    while (ram.segment().get(ValueLayout.JAVA_LONG, DATA) == 0) {
                        Thread.onSpinWait();
                    }
                }
                (wholeVm ? machine : vcpu).close();
                if (round % 4 != 0) {
                    assertThat(result(running)).isEqualTo(VcpuExit.Closed.INSTANCE);
                } else {
                    assertThat(ended(running)).isIn(VcpuExit.Closed.INSTANCE, ClosedException.class);
                }
                assertThatThrownBy(vcpu::kick).isInstanceOf(IllegalStateException.class);
            }
        }
    }

    /** How a run ended that may have begun before the close or after it. */
    private static Object ended(FutureTask<VcpuExit> running) throws Exception {
        try {
            return result(running);
        } catch (IllegalStateException refused) {
            return refused.getClass();
        }
    }

    /** Each waits in a loop for what the other one writes. */
    @Test
    void twoVcpusRunAtTheSameTime() throws Exception {
        vm.memory().add(0, ram);
        Vcpu first = guest(0, pingPong(ENTRY, 0, 8));
        Vcpu second = guest(1, pingPong(ENTRY + PAGE, 8, 0));
        FutureTask<VcpuExit> other = start(second::run);
        halts(first);
        assertThat(result(other)).isEqualTo(VcpuExit.Halt.INSTANCE);
        assertThat(ram.segment().get(ValueLayout.JAVA_LONG, DATA)).isEqualTo(1000);
        assertThat(ram.segment().get(ValueLayout.JAVA_LONG, DATA + 8)).isEqualTo(1000);
    }

    private static Assembler pingPong(long origin, int mine, int theirs) {
        Assembler program = new Assembler(origin).mov(RBX, DATA).mov(RCX, 0);
        Assembler.Label loop = program.here();
        program.add(RCX, 1).store(8, RBX, mine, RCX);
        Assembler.Label wait = program.here();
        Assembler.Label done = program.newLabel();
        // The other one may be one round ahead.
        program.pause().load(8, RAX, RBX, theirs).cmp(RAX, RCX).je(done).sub(RAX, 1).cmp(RAX, RCX).jne(wait);
        return program.place(done).cmp(RCX, 1000).jne(loop).hlt();
    }

    @Test
    void registersAreReadAndWritten() {
        Vcpu vcpu = guest(program().add(RAX, RBX).hlt());
        vcpu.x86().updateRegs(regs -> {
            kvm_regs.rax(regs, 40);
            kvm_regs.rbx(regs, 2);
        });
        halts(vcpu);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment regs = vcpu.x86().regs(arena);
            assertThat(kvm_regs.rax(regs)).isEqualTo(42);
            assertThat(kvm_regs.rip(regs)).isEqualTo(ENTRY + 4);
            MemorySegment sregs = vcpu.x86().sregs(arena);
            assertThat(kvm_segment.l(kvm_sregs.cs(sregs))).isEqualTo((byte) 1);
            assertThat(kvm_sregs.cr3(sregs)).isEqualTo(LongMode.TABLES);
        }
    }

    @Test
    void specialRegistersThatContradictEachOtherAreRefused() {
        Vcpu vcpu = guest(program().hlt());
        assertThatThrownBy(() -> vcpu.x86().updateSregs(sregs -> kvm_sregs.cr4(sregs, 0)))
                .isInstanceOfSatisfying(KernelException.class,
                        refused -> assertThat(refused.errno()).isEqualTo(Errno.EINVAL))
                .hasMessageStartingWith("KVM_SET_SREGS on vCPU 0");
    }

    @Test
    void theGuestSeesItsCpuid() {
        int leaf = 0x4000_0100;
        Vcpu vcpu = guest(program().mov(RAX, leaf).mov(RCX, 0).bytes(0x0f, 0xa2).hlt());
        assertThat(kvm.x86().supportedCpuid()).anyMatch(entry -> entry.function() == 0)
                .anyMatch(entry -> entry.function() == 1);
        vcpu.x86().setCpuid(Stream.concat(kvm.x86().supportedCpuid().stream(),
                Stream.of(new CpuidEntry(leaf, 0, 0, 0x11, 0x22, 0x33, 0x44))).toList());
        halts(vcpu);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment regs = vcpu.x86().regs(arena);
            assertThat(List.of(kvm_regs.rax(regs), kvm_regs.rbx(regs), kvm_regs.rcx(regs), kvm_regs.rdx(regs)))
                    .containsExactly(0x11L, 0x22L, 0x33L, 0x44L);
        }
    }

    @Test
    void eachVcpuTellsItsOwnApicId() {
        vm.memory().add(0, ram);
        for (int id : List.of(0, 1, 5)) {
            Vcpu vcpu = guest(id, program().mov(RAX, 1).bytes(0x0f, 0xa2).hlt());
            halts(vcpu);
            try (Arena arena = Arena.ofConfined()) {
                assertThat(kvm_regs.rbx(vcpu.x86().regs(arena)) >>> 24).as("%s", vcpu).isEqualTo(id);
            }
        }
    }

    @Test
    void modelSpecificRegistersAreReadAndWritten() {
        int sysenterEip = 0x176;
        Vcpu vcpu = guest(program().hlt());
        vcpu.x86().setMsr(sysenterEip, 0x1234_5678);
        assertThat(vcpu.x86().msr(sysenterEip)).isEqualTo(0x1234_5678);
        assertThatThrownBy(() -> vcpu.x86().msr(0x1234_5678)).isInstanceOf(HostException.class)
                .hasMessageStartingWith("vCPU 0").hasMessageContaining("has no MSR 0x12345678 that can be read");
        assertThatThrownBy(() -> vcpu.x86().setMsr(0x1234_5678, 1)).isInstanceOf(HostException.class)
                .hasMessageContaining("has no MSR 0x12345678 that takes 0x1");
    }

    @Test
    void theStateOfAProcessorIsReadAndWritten() {
        vm.interrupts().createIrqchip();
        Vcpu first = vm.createVcpu(0);
        Vcpu second = vm.createVcpu(1);
        assertThat(first.mpState()).isEqualTo(MpState.RUNNABLE);
        assertThat(second.mpState()).isEqualTo(MpState.UNINITIALIZED);
        second.setMpState(MpState.RUNNABLE);
        assertThat(second.mpState()).isEqualTo(MpState.RUNNABLE);
        assertThatThrownBy(() -> second.setMpState(MpState.STOPPED)).isInstanceOf(KernelException.class);
    }

    @Test
    void registersByNumberAndInitialisationAreOfOtherArchitectures() {
        Vcpu vcpu = vm.createVcpu(0);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_LONG);
            assertThatThrownBy(() -> vcpu.oneReg(0x6030_0000_0010_0000L, value)).isInstanceOf(KernelException.class)
                    .hasMessageContaining("{id=0x6030000000100000}");
            assertThatThrownBy(() -> vcpu.setOneReg(0x6040_0000_0010_0000L, value))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("has 16 bytes");
        }
        assertThatThrownBy(vcpu::aarch64).isInstanceOf(UnsupportedOperationException.class)
                .hasMessage(vcpu + " is not of aarch64");
    }

    @Test
    void portExitsAllocateNothing() {
        Assembler program = program().mov(RDX, PORT);
        Assembler.Label loop = program.here();
        Vcpu vcpu = guest(program.out(1).in(4).jmp(loop));
        assertNoAllocation(vcpu, exit -> {
            switch (exit) {
                case PortWrite out -> assertPort(out.port(), out.value());
                case PortRead in -> in.answer(in.port());
                default -> throw vcpu.unhandled(exit);
            }
        });
    }

    private static void assertPort(int port, int value) {
        if (port != PORT || value < 0 || value > 0xff) {
            throw new AssertionError(port + " " + value);
        }
    }

    @Test
    void mmioExitsAllocateNothing() {
        Assembler program = program().mov(RBX, DEVICE);
        Assembler.Label loop = program.here();
        Vcpu vcpu = guest(program.load(4, RAX, RBX, 0).store(4, RBX, 4, RAX).jmp(loop));
        assertNoAllocation(vcpu, exit -> {
            switch (exit) {
                case MmioRead read -> read.answer(read.address() + read.size());
                case MmioWrite write -> assertPort(PORT, write.value() == DEVICE + 4 ? 0 : -1);
                default -> throw vcpu.unhandled(exit);
            }
        });
    }

    @Test
    void haltExitsAllocateNothing() {
        Assembler program = program();
        Assembler.Label loop = program.here();
        Vcpu vcpu = guest(program.hlt().jmp(loop));
        assertNoAllocation(vcpu, exit -> {
            if (exit != VcpuExit.Halt.INSTANCE) {
                throw vcpu.unhandled(exit);
            }
        });
    }

    @Test
    void aLowerTaskPriorityExits() {
        Vcpu vcpu = guest(lowerTaskPriority(program(), 9, 3).hlt());
        assertThat(next(vcpu, VcpuExit.X86.class).exit()).isInstanceOfSatisfying(X86Exit.SetTpr.class,
                tpr -> assertThat(tpr.cr8()).isEqualTo(3));
        halts(vcpu);
    }

    /** mov cr8, rax: without a local APIC in the kernel the program learns of it. */
    private static Assembler lowerTaskPriority(Assembler program, int from, int to) {
        return program.mov(RAX, from).bytes(0x44, 0x0f, 0x22, 0xc0).mov(RAX, to).bytes(0x44, 0x0f, 0x22, 0xc0);
    }

    @Test
    void exitsOfOneArchitectureAllocateNothing() {
        Assembler program = program();
        Assembler.Label loop = program.here();
        Vcpu vcpu = guest(lowerTaskPriority(program, 9, 3).jmp(loop));
        assertNoAllocation(vcpu, exit -> {
            if (!(exit instanceof VcpuExit.X86(X86Exit.SetTpr tpr)) || tpr.cr8() != 3) {
                throw vcpu.unhandled(exit);
            }
        });
    }

    /** KVM is told to leave it at the exit: otherwise the guest is given an exception too, when it goes on. */
    @Test
    void internalErrorsAllocateNothing() {
        Vcpu vcpu = guest(program().mov(RAX, DEVICE).bytes(0xff, 0xe0));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment capability = kvm_enable_cap.allocate(arena);
            kvm_enable_cap.cap(capability, kvm_h.KVM_CAP_EXIT_ON_EMULATION_FAILURE());
            kvm_enable_cap.args(capability, 0, 1);
            vm.fd().call(new Ioctl("KVM_ENABLE_CAP", kvm_h.KVM_ENABLE_CAP()), capability);
        }
        assertNoAllocation(vcpu, exit -> {
            if (!(exit instanceof VcpuExit.InternalError error)
                    || error.suberror() != kvm_h.KVM_INTERNAL_ERROR_EMULATION()
                    || error.dataCount() > 0 && error.data(error.dataCount() - 1) == DEVICE) {
                throw vcpu.unhandled(exit);
            }
        });
    }

    /** Single steps, which are asked for with a call that is not wrapped. */
    @Test
    void unknownExitsAllocateNothing() {
        Assembler program = program();
        Assembler.Label loop = program.here();
        Vcpu vcpu = guest(program.jmp(loop));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment debug = kvm_guest_debug.allocate(arena);
            kvm_guest_debug.control(debug, kvm_h.KVM_GUESTDBG_ENABLE() | kvm_h.KVM_GUESTDBG_SINGLESTEP());
            vcpu.fd().call(new Ioctl("KVM_SET_GUEST_DEBUG", kvm_x86_64_h.KVM_SET_GUEST_DEBUG()), debug);
        }
        assertNoAllocation(vcpu, exit -> {
            if (!(exit instanceof VcpuExit.UnknownExit step) || step.reason() != kvm_h.KVM_EXIT_DEBUG()
                    || step.firstWord() == -1) {
                throw vcpu.unhandled(exit);
            }
        });
    }

    private static void assertNoAllocation(Vcpu vcpu, Consumer<VcpuExit> handler) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long thread = Thread.currentThread().threadId();
        long allocated = Long.MAX_VALUE;
        // The interpreter allocates where compiled code does not, so the first rounds may.
        for (int round = 0; round < 100 && allocated > 0; round++) {
            long before = threads.getThreadAllocatedBytes(thread);
            for (int i = 0; i < 10_000; i++) {
                handler.accept(vcpu.run());
            }
            allocated = threads.getThreadAllocatedBytes(thread) - before;
        }
        assertThat(allocated).isZero();
    }

    /** As after power-on, where only the code's segment is moved to where memory is. */
    @Test
    void runsInRealModeToo() {
        vm.memory().add(0, ram);
        // mov dx, 0x3f8; mov al, 'A'; out dx, al; hlt
        byte[] code = {(byte) 0xba, (byte) 0xf8, 3, (byte) 0xb0, 'A', (byte) 0xee, (byte) 0xf4};
        ram.segment().asSlice(PAGE, code.length).copyFrom(MemorySegment.ofArray(code));
        Vcpu vcpu = vm.createVcpu(0);
        vcpu.x86().updateSregs(sregs -> {
            kvm_segment.base(kvm_sregs.cs(sregs), 0);
            kvm_segment.selector(kvm_sregs.cs(sregs), (short) 0);
        });
        vcpu.x86().updateRegs(regs -> kvm_regs.rip(regs, PAGE));
        assertThat(next(vcpu, PortWrite.class).value()).isEqualTo('A');
        halts(vcpu);
    }
}
