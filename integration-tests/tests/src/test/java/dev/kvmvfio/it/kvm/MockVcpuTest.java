package dev.kvmvfio.it.kvm;

import static dev.kvmvfio.it.kvm.VcpuThreads.result;
import static dev.kvmvfio.it.kvm.VcpuThreads.start;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.IoAddress;
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
import dev.kvmvfio.kvm.x86.X86Exit;
import dev.kvmvfio.mock.MockCpu;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A vCPU of the mock, whose guest is a program in Java. */
@Tag("mock")
@Timeout(60)
class MockVcpuTest {
    private static final long PAGE = 4096;
    private static final long DEVICE = 0xd000_0000L;
    private static final int KICKS = 500;

    private final MockKernel kernel = MockKernel.host(KernelProfile.V6_12).start();
    private final Kvm kvm = Kvm.open(kernel);
    private final Vm vm = kvm.createVm();

    /** The mock complains about what is left, also about a guest's thread that does not end. */
    @AfterEach
    void nothingIsLeft() {
        kvm.close();
        kernel.close();
        assertThat(Thread.getAllStackTraces().keySet()).noneMatch(thread -> thread.getName().startsWith("guest of"));
    }

    private Vcpu guest(Consumer<? super MockCpu> program) {
        Vcpu vcpu = vm.createVcpu(0);
        kernel.guest(vm.fd().number()).program(0, program);
        return vcpu;
    }

    private static <E extends VcpuExit> E next(Vcpu vcpu, Class<E> kind) {
        VcpuExit exit = vcpu.run();
        assertThat(exit).isInstanceOf(kind);
        return kind.cast(exit);
    }

    @Test
    void portsAndDevicesAreAnsweredAndMemoryIsNot() {
        try (HostMemory ram = HostMemory.allocate(kernel, PAGE)) {
            vm.memory().add(0, ram);
            Vcpu vcpu = guest(cpu -> {
                cpu.out(0x3f8, 1, 0x141);
                cpu.write(8, 2, cpu.in(0x60, 2));
                cpu.write(DEVICE, 4, cpu.read(8, 8));
                cpu.write(16, 8, cpu.read(DEVICE + 8, 4));
            });
            PortWrite out = next(vcpu, PortWrite.class);
            assertThat(List.of(out.port(), out.size(), out.count(), out.value())).containsExactly(0x3f8, 1, 1, 0x41);
            PortRead in = next(vcpu, PortRead.class);
            assertThat(List.of(in.port(), in.size(), in.count())).containsExactly(0x60, 2, 1);
            in.answer(0x1_8765);
            MmioWrite write = next(vcpu, MmioWrite.class);
            assertThat(List.of(write.address(), (long) write.size(), write.value())).containsExactly(DEVICE, 4L,
                    0x8765L);
            MmioRead read = next(vcpu, MmioRead.class);
            assertThat(List.of(read.address(), (long) read.size())).containsExactly(DEVICE + 8, 4L);
            read.answer(-1);
            assertThat(vcpu.run()).isEqualTo(VcpuExit.Halt.INSTANCE);
            assertThat(vcpu.run()).isEqualTo(VcpuExit.Halt.INSTANCE);
            assertThat(ram.segment().get(ValueLayout.JAVA_LONG, 8)).isEqualTo(0x8765);
            assertThat(ram.segment().get(ValueLayout.JAVA_LONG, 16)).isEqualTo(0xffff_ffffL);
            vm.close();
        }
    }

    @Test
    void aWriteToReadOnlyMemoryExits() {
        try (HostMemory rom = HostMemory.allocate(kernel, PAGE)) {
            vm.memory().add(0, rom, SlotFlag.READ_ONLY);
            rom.segment().set(ValueLayout.JAVA_INT, 0, 7);
            Vcpu vcpu = guest(cpu -> cpu.write(8, 4, cpu.read(0, 4)));
            assertThat(next(vcpu, MmioWrite.class).value()).isEqualTo(7);
            vm.close();
        }
    }

    @Test
    void anEventfdTakesAWrite() {
        try (EventFd port = EventFd.create(kernel); EventFd doorbell = EventFd.create(kernel)) {
            vm.addIoEventFd(port, IoAddress.port(0x510), 2);
            vm.addIoEventFd(doorbell, IoAddress.mmio(DEVICE), 4);
            Vcpu vcpu = guest(cpu -> {
                cpu.out(0x510, 2, 1);
                cpu.write(DEVICE, 4, 1);
                cpu.write(DEVICE, 4, 2);
                cpu.out(0x510, 1, 3);
            });
            assertThat(next(vcpu, PortWrite.class).value()).isEqualTo(3);
            assertThat(port.take()).isEqualTo(1);
            assertThat(doorbell.take()).isEqualTo(2);
        }
    }

    @Test
    void aHaltInTheKernelEndsWithAnInterrupt() throws Exception {
        vm.interrupts().createIrqchip();
        Vcpu vcpu = guest(cpu -> {
            cpu.out(0x80, 1, 1);
            cpu.halt();
            cpu.out(0x80, 1, 2);
        });
        try (EventFd trigger = EventFd.create(kernel)) {
            vm.interrupts().addIrqFd(trigger, 5);
            FutureTask<List<Integer>> running = start(() -> List.of(next(vcpu, PortWrite.class).value(),
                    next(vcpu, PortWrite.class).value()));
            Thread.sleep(50);
            assertThat(running.isDone()).isFalse();
            trigger.signal();
            assertThat(result(running)).containsExactly(1, 2);
            assertThat(kernel.guest(vm.fd().number()).interrupts(5)).isEqualTo(1);
        }
    }

    @Test
    void aKickIsAnsweredOnceAndLosesNoAnswer() {
        Vcpu vcpu = guest(cpu -> cpu.out(0x80, 1, cpu.in(0x60, 1)));
        vcpu.kick();
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Interrupted.INSTANCE);
        next(vcpu, PortRead.class).answer(9);
        vcpu.kick();
        vcpu.kick();
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Interrupted.INSTANCE);
        assertThat(next(vcpu, PortWrite.class).value()).isEqualTo(9);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void noKickIsLost(boolean exiting) throws Exception {
        vm.interrupts().createIrqchip();
        Vcpu vcpu = guest(cpu -> {
            while (exiting) {
                cpu.out(0x80, 1, 1);
            }
        });
        VcpuThreads.assertEachKickIsAnswered(vcpu, KICKS, exit -> assertThat(exit).isInstanceOf(PortWrite.class));
    }

    @Test
    void closingStopsTheGuest() throws Exception {
        vm.interrupts().createIrqchip();
        Vcpu vcpu = guest(cpu -> {
            cpu.out(0x80, 1, 1);
            cpu.halt();
        });
        CountDownLatch begun = new CountDownLatch(1);
        FutureTask<VcpuExit> running = start(() -> {
            next(vcpu, PortWrite.class);
            begun.countDown();
            return vcpu.run();
        });
        begun.await();
        Thread.sleep(20);
        vm.close();
        assertThat(result(running)).isEqualTo(VcpuExit.Closed.INSTANCE);
        assertThatThrownBy(vcpu::run).isInstanceOf(ClosedException.class);
    }

    @Test
    void aVcpuIsOnePlatformThread() throws Exception {
        Vcpu vcpu = guest(MockCpu::halt);
        FutureTask<VcpuExit> virtual = new FutureTask<>(vcpu::run);
        Thread.ofVirtual().start(virtual);
        assertThatThrownBy(() -> result(virtual)).hasMessageContaining("a virtual thread");
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Halt.INSTANCE);
        assertThatThrownBy(() -> result(start(vcpu::run))).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("runs on " + Thread.currentThread() + " only");
    }

    /** Several threads come at once, and the first one keeps the vCPU. */
    @Test
    void oneOfManyThreadsRunsAVcpu() throws Exception {
        Vcpu vcpu = guest(MockCpu::halt);
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
        vm.interrupts().createIrqchip();
        Vcpu vcpu = guest(MockCpu::halt);
        FutureTask<VcpuExit> running = start(vcpu::run);
        Thread.sleep(20);
        assertThat(result(start(() -> ofRegisters(vcpu)))).isEqualTo(0xfff0);
        assertThat(running.isDone()).isFalse();
        vcpu.kick();
        assertThat(result(running)).isEqualTo(VcpuExit.Interrupted.INSTANCE);
    }

    private static long ofRegisters(Vcpu vcpu) {
        try (Arena arena = Arena.ofConfined()) {
            return kvm_regs.rip(vcpu.x86().regs(arena));
        }
    }

    @Test
    void aClosedVcpuDoesNothing() {
        Vcpu vcpu = guest(cpu -> cpu.in(0x60, 1));
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

    @Test
    void twoVcpusRunAtTheSameTime() throws Exception {
        AtomicInteger turn = new AtomicInteger();
        Vcpu first = guest(cpu -> takeTurns(cpu, turn, 0));
        Vcpu second = vm.createVcpu(1);
        kernel.guest(vm.fd().number()).program(1, cpu -> takeTurns(cpu, turn, 1));
        FutureTask<VcpuExit> other = start(second::run);
        assertThat(first.run()).isEqualTo(VcpuExit.Halt.INSTANCE);
        assertThat(result(other)).isEqualTo(VcpuExit.Halt.INSTANCE);
        assertThat(turn).hasValue(100);
    }

    private static void takeTurns(MockCpu cpu, AtomicInteger turn, int mine) {
        for (int now = turn.get(); now < 100; now = turn.get()) {
            if (now % 2 == mine) {
                turn.incrementAndGet();
            }
            Thread.onSpinWait();
        }
        cpu.halt();
    }

    @Test
    void whatTheGuestThrowsTheRunThrows() {
        Vcpu vcpu = guest(_ -> {
            throw new AssertionError("the guest's own");
        });
        assertThatThrownBy(vcpu::run).isInstanceOf(AssertionError.class).hasMessage("the guest's own");
    }

    @Test
    void withoutAProgramItSaysHowToGiveOne() {
        Vcpu vcpu = vm.createVcpu(0);
        assertThatThrownBy(vcpu::run).isInstanceOf(NotModelledException.class).hasMessageContaining(".program(id,");
        kernel.guest(vm.fd().number()).program(0, MockCpu::halt);
        assertThatThrownBy(() -> kernel.guest(vm.fd().number()).program(0, MockCpu::halt))
                .isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> kernel.guest(vm.fd().number()).program(1, MockCpu::halt))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void rareExitsAreDecoded() {
        Vcpu vcpu = guest(cpu -> {
            cpu.shutdown();
            cpu.exit(kvm_h.KVM_EXIT_FAIL_ENTRY(), run -> {
                kvm_run.fail_entry.hardware_entry_failure_reason(kvm_run.fail_entry(run), 0x8000_0021L);
                kvm_run.fail_entry.cpu(kvm_run.fail_entry(run), 3);
            });
            cpu.exit(kvm_h.KVM_EXIT_INTERNAL_ERROR(), run -> {
                MemorySegment error = kvm_run.internal(run);
                kvm_run.internal.suberror(error, kvm_h.KVM_INTERNAL_ERROR_EMULATION());
                kvm_run.internal.ndata(error, 2);
                kvm_run.internal.data(error, 0, 0x10);
                kvm_run.internal.data(error, 1, 0x20);
            });
            cpu.exit(kvm_h.KVM_EXIT_SYSTEM_EVENT(), run -> {
                MemorySegment event = kvm_run.system_event(run);
                kvm_run.system_event.type(event, kvm_h.KVM_SYSTEM_EVENT_RESET());
                kvm_run.system_event.ndata(event, 1);
                kvm_run.system_event.data(event, 0, 5);
            });
            cpu.exit(kvm_h.KVM_EXIT_IOAPIC_EOI(), run -> kvm_run.eoi.vector(kvm_run.eoi(run), (byte) 0xf1));
            cpu.exit(kvm_h.KVM_EXIT_IRQ_WINDOW_OPEN(), _ -> {
            });
            cpu.exit(kvm_h.KVM_EXIT_SET_TPR(), _ -> {
            });
            cpu.exit(4321, run -> kvm_run.hw.hardware_exit_reason(kvm_run.hw(run), 0x99));
        });
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Shutdown.INSTANCE);
        VcpuExit.FailEntry failed = next(vcpu, VcpuExit.FailEntry.class);
        assertThat(failed.hardwareReason()).isEqualTo(0x8000_0021L);
        assertThat(failed.cpu()).isEqualTo(3);
        assertThat(failed).hasToString("failed entry, hardware reason 0x80000021 on processor 3");
        assertThat(vcpu.unhandled(failed)).hasMessageEndingWith(
                "The processor does not accept the state of the guest: check the special registers");
        VcpuExit.InternalError error = next(vcpu, VcpuExit.InternalError.class);
        assertThat(error.suberror()).isEqualTo(kvm_h.KVM_INTERNAL_ERROR_EMULATION());
        assertThat(error.dataCount()).isEqualTo(2);
        assertThat(error.data(0)).isEqualTo(0x10);
        assertThat(error.data(1)).isEqualTo(0x20);
        assertThatThrownBy(() -> error.data(2)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThat(error).hasToString("internal error: an instruction could not be emulated[10, 20]");
        VcpuExit.SystemEvent event = next(vcpu, VcpuExit.SystemEvent.class);
        assertThat(event.isReset()).isTrue();
        assertThat(event.isShutdown()).isFalse();
        assertThat(event.dataCount()).isEqualTo(1);
        assertThat(event.data(0)).isEqualTo(5);
        assertThat(event).hasToString("system event 2 [5]");
        assertThat(next(vcpu, VcpuExit.IoapicEoi.class).vector()).isEqualTo(0xf1);
        assertThat(vcpu.run()).isEqualTo(VcpuExit.InterruptWindow.INSTANCE);
        // What the kernel answers with is what it was told, or what the guest's processor says.
        kvm_run.cr8(vcpu.kvmRun(), 6);
        assertThat(vcpu.run()).isInstanceOfSatisfying(VcpuExit.X86.class, x86 -> {
            assertThat(x86.exit()).isInstanceOfSatisfying(X86Exit.SetTpr.class,
                    tpr -> assertThat(tpr.cr8()).isEqualTo(6));
            assertThat(x86).hasToString("task priority lowered to 6");
        });
        VcpuExit.UnknownExit unknown = next(vcpu, VcpuExit.UnknownExit.class);
        assertThat(unknown.reason()).isEqualTo(4321);
        assertThat(unknown.firstWord()).isEqualTo(0x99);
        assertThat(vcpu.unhandled(unknown)).hasMessage(vcpu
                + ": exit 4321 (0x99) at rip 0xfff0 is not handled. Add a case for it to the program's loop");
    }

    /** A kernel that says more than there is room for is believed as far as the room goes. */
    @Test
    void noMoreDataIsReadThanThereIsRoomFor() {
        Vcpu vcpu = guest(cpu -> {
            for (int said : new int[]{16, 17, Integer.MAX_VALUE, -1}) {
                cpu.exit(kvm_h.KVM_EXIT_INTERNAL_ERROR(), run -> kvm_run.internal.ndata(kvm_run.internal(run), said));
            }
        });
        for (int i = 0; i < 4; i++) {
            VcpuExit.InternalError error = next(vcpu, VcpuExit.InternalError.class);
            assertThat(error.dataCount()).isEqualTo(16);
            assertThat(error.data(15)).isZero();
        }
    }

    /** What a port's or an address's exit has at least. */
    private static void fill(int reason, MemorySegment run) {
        if (reason == kvm_h.KVM_EXIT_IO()) {
            kvm_run.io.size(kvm_run.io(run), (byte) 1);
            kvm_run.io.count(kvm_run.io(run), 1);
        } else if (reason == kvm_h.KVM_EXIT_MMIO()) {
            kvm_run.mmio.len(kvm_run.mmio(run), 1);
        }
    }

    @Test
    void anExitIsTheSameObjectEachTime() {
        List<Integer> reasons = List.of(kvm_h.KVM_EXIT_IO(), kvm_h.KVM_EXIT_MMIO(), kvm_h.KVM_EXIT_HLT(),
                kvm_h.KVM_EXIT_IRQ_WINDOW_OPEN(), kvm_h.KVM_EXIT_IOAPIC_EOI(), kvm_h.KVM_EXIT_SHUTDOWN(),
                kvm_h.KVM_EXIT_SYSTEM_EVENT(), kvm_h.KVM_EXIT_FAIL_ENTRY(), kvm_h.KVM_EXIT_INTERNAL_ERROR(),
                kvm_h.KVM_EXIT_SET_TPR(), kvm_h.KVM_EXIT_DEBUG(), Integer.MAX_VALUE, -1);
        Vcpu vcpu = guest(cpu -> {
            for (int time = 0; time < 2; time++) {
                reasons.forEach(reason -> cpu.exit(reason, run -> fill(reason, run)));
            }
        });
        List<VcpuExit> first = reasons.stream().map(_ -> vcpu.run()).toList();
        assertThat(first).allSatisfy(exit -> assertThat(vcpu.run()).isSameAs(exit));
    }

    @Test
    void registersAreKeptAsARealKernelKeepsThem() {
        Vcpu vcpu = vm.createVcpu(0);
        vcpu.x86().updateRegs(regs -> {
            assertThat(kvm_regs.rip(regs)).isEqualTo(0xfff0);
            kvm_regs.rax(regs, 5);
            kvm_regs.rflags(regs, 0);
        });
        try (Arena arena = Arena.ofConfined()) {
            assertThat(kvm_regs.rax(vcpu.x86().regs(arena))).isEqualTo(5);
            assertThat(kvm_regs.rflags(vcpu.x86().regs(arena))).isEqualTo(2);
            assertThat(kvm_sregs.cr0(vcpu.x86().sregs(arena))).isEqualTo(0x6000_0010);
        }
        assertThatThrownBy(() -> vcpu.x86().updateSregs(sregs -> kvm_sregs.efer(sregs, 0x400)))
                .isInstanceOfSatisfying(KernelException.class,
                        refused -> assertThat(refused.errno()).isEqualTo(Errno.EINVAL));
        vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
        vcpu.x86().setMsr(0x176, 77);
        assertThat(vcpu.x86().msr(0x176)).isEqualTo(77);
        assertThatThrownBy(() -> vcpu.x86().msr(0x1234_5678)).isInstanceOf(HostException.class);
        assertThatThrownBy(() -> vcpu.x86().msr(0x10)).isInstanceOf(NotModelledException.class);
        assertThat(vcpu.mpState()).isEqualTo(MpState.RUNNABLE);
        assertThatThrownBy(() -> vcpu.setMpState(MpState.UNINITIALIZED)).isInstanceOf(KernelException.class);
    }

    @Test
    void aSecondProcessorWaitsToBeStarted() throws Exception {
        vm.interrupts().createIrqchip();
        vm.createVcpu(0);
        Vcpu second = vm.createVcpu(1);
        kernel.guest(vm.fd().number()).program(1, cpu -> cpu.out(0x80, 1, 1));
        assertThat(second.mpState()).isEqualTo(MpState.UNINITIALIZED);
        FutureTask<List<VcpuExit>> running = start(() -> {
            VcpuExit first = second.run();
            second.setMpState(MpState.RUNNABLE);
            return List.of(first, second.run());
        });
        Thread.sleep(20);
        second.kick();
        assertThat(result(running).getFirst()).isEqualTo(VcpuExit.Interrupted.INSTANCE);
        assertThat(result(running).getLast()).isInstanceOf(PortWrite.class);
    }
}
