package dev.kvmvfio.it.kvm;

import static dev.kvmvfio.it.kvm.VcpuThreads.result;
import static dev.kvmvfio.it.kvm.VcpuThreads.start;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Pause;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import dev.kvmvfio.kvm.VcpuExit.MmioRead;
import dev.kvmvfio.kvm.VcpuExit.PortWrite;
import dev.kvmvfio.kvm.Vm;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Pauses of vCPUs that do everything a guest can do meanwhile: the same on the mock and on a real kernel. The property
 * {@code pauses} says how many; 10,000 have been done.
 */
@Timeout(1800)
abstract class PauseContract {
    /** What a guest does without end; each counts its rounds. */
    enum Guest {
        /** Writes to a port. */
        EXITS,
        /** Never leaves. */
        SPINS,
        /** Waits in the kernel for an interrupt. */
        HALTS,
        /** Reads from a device, and ends when it gets something else than {@link #ANSWER}. */
        READS
    }

    static final int ANSWER = 0x77;
    static final int PORT = 0x3f8;
    /** No memory is there. */
    static final long DEVICE = 0xd000_0000L;
    private static final int VCPUS = 4;
    private static final int PAUSES = Integer.getInteger("pauses", 100);

    final Kernel kernel = open();
    final Kvm kvm = Kvm.open(kernel);
    final Vm vm = kvm.createVm();
    final HostMemory ram = HostMemory.allocate(kernel, 1 << 20);
    private final Arena arena = Arena.ofShared();
    private final AtomicLongArray writes = new AtomicLongArray(VCPUS);

    abstract Kernel open();

    /** Fails when anything is left. */
    abstract void end();

    /** Makes a vCPU with a guest; with an irqchip in the VM when the first one halts. */
    abstract Vcpu guest(Guest kind, int id);

    /** How many rounds the guest of a vCPU has done. */
    abstract long rounds(int id);

    /** Sends an interrupt to a guest that halts. */
    abstract void interrupt(int id);

    @BeforeEach
    void addMemory() {
        vm.memory().add(0, ram);
    }

    @AfterEach
    void close() {
        kvm.close();
        ram.close();
        arena.close();
        end();
    }

    private Void loop(Vcpu vcpu) {
        while (true) {
            switch (vcpu.run()) {
                case PortWrite _ -> writes.incrementAndGet(vcpu.id());
                case MmioRead read -> read.answer(ANSWER);
                case VcpuExit.Closed _ -> {
                    return null;
                }
                case VcpuExit exit -> throw vcpu.unhandled(exit);
            }
        }
    }

    final long rbx(Vcpu vcpu) {
        return kvm_regs.rbx(vcpu.x86().regs(arena));
    }

    private static void addToRbx(Vcpu vcpu) {
        vcpu.x86().updateRegs(regs -> kvm_regs.rbx(regs, kvm_regs.rbx(regs) + 1));
    }

    /** A write that must not be done yet is refused; the guest goes on and it is tried again. */
    static void addToRbxInTheEnd(Vcpu vcpu) {
        while (true) {
            try {
                addToRbx(vcpu);
                return;
            } catch (ClosedException gone) {
                throw gone;
            } catch (IllegalStateException unanswered) {
                assertThat(unanswered).hasMessageContaining("call run() on its thread");
                Thread.yield();
            }
        }
    }

    static void await(String what, BooleanSupplier happened) {
        Chips.await(what, happened);
    }

    @ParameterizedTest
    @EnumSource
    void pausesLoseNothing(Guest kind) throws Exception {
        List<Vcpu> vcpus = IntStream.range(0, VCPUS).mapToObj(id -> guest(kind, id)).toList();
        List<FutureTask<Void>> loops = vcpus.stream().map(vcpu -> start(() -> loop(vcpu))).toList();
        await("all run", () -> IntStream.range(0, VCPUS).allMatch(id -> rounds(id) > 0));
        FutureTask<Void> other = start(() -> {
            for (int i = 0; i < PAUSES; i++) {
                addToRbxInTheEnd(vcpus.get(i % VCPUS));
            }
            return null;
        });
        long[] nanos = new long[PAUSES];
        for (int i = 0; i < PAUSES; i++) {
            long[] before = new long[VCPUS];
            long begun = System.nanoTime();
            try (Pause _ = vm.pause()) {
                nanos[i] = System.nanoTime() - begun;
                Arrays.setAll(before, this::rounds);
                vcpus.forEach(PauseContract::addToRbxInTheEnd);
                if (kind == Guest.HALTS) {
                    IntStream.range(0, VCPUS).forEach(this::interrupt);
                }
            }
            // Nobody is left behind when the others go on.
            if (kind == Guest.HALTS || i % 16 == 0) {
                for (int id = 0; id < VCPUS; id++) {
                    int vcpu = id;
                    await("vCPU " + id + " goes on", () -> rounds(vcpu) > before[vcpu]);
                }
            }
        }
        result(other);
        try (Pause _ = vm.pause()) {
            for (int id = 0; kind == Guest.EXITS && id < VCPUS; id++) {
                assertThat(rounds(id) - writes.get(id)).as("what vCPU %d is about to write", id).isBetween(0L, 1L);
            }
            assertThat(vcpus.stream().mapToLong(this::rbx).sum()).isEqualTo((VCPUS + 1L) * PAUSES);
        }
        assertThat(loops).noneMatch(FutureTask::isDone);
        vm.close();
        for (FutureTask<Void> loop : loops) {
            result(loop);
        }
        Arrays.sort(nanos);
        System.out.printf("%d pauses of %d vCPUs whose guest %s: 50 %% within %d µs, 99 %% within %d µs%n", PAUSES,
                VCPUS,
                kind.name().toLowerCase(), nanos[PAUSES / 2] / 1000, nanos[PAUSES * 99 / 100] / 1000);
    }

    /** The registers of a vCPU as they are, twice, with time between for a guest that runs to change them. */
    private void assertStill(Vcpu vcpu) throws InterruptedException {
        // The mock's guest is Java, and stops at its next access.
        Thread.sleep(20);
        MemorySegment before = vcpu.x86().regs(arena);
        long rounds = rounds(vcpu.id());
        Thread.sleep(20);
        assertThat(vcpu.x86().regs(arena).mismatch(before)).isEqualTo(-1);
        assertThat(rounds(vcpu.id())).isEqualTo(rounds);
    }

    @Test
    void theLastPauseToBeClosedResumes() throws Exception {
        Vcpu vcpu = guest(Guest.SPINS, 0);
        FutureTask<Void> loop = start(() -> loop(vcpu));
        await("the guest runs", () -> rounds(0) > 0);
        Pause first = vcpu.pause();
        Pause second = result(start(vcpu::pause));
        Pause third = vm.pause();
        assertThat(first).hasToString("pause of [" + vcpu + "]");
        first.close();
        first.close();
        third.close();
        assertStill(vcpu);
        assertThat(first).hasToString("ended pause of [" + vcpu + "]");
        long rounds = rounds(0);
        second.close();
        await("the guest goes on", () -> rounds(0) > rounds);
        assertThat(loop.isDone()).isFalse();
    }

    @Test
    void anExitThatIsNotAnsweredIsReadAndNotWritten() throws Exception {
        Vcpu vcpu = guest(Guest.READS, 0);
        CountDownLatch told = new CountDownLatch(1);
        CountDownLatch answer = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        FutureTask<Void> loop = start(() -> {
            MmioRead read = (MmioRead) vcpu.run();
            told.countDown();
            answer.await();
            read.answer(ANSWER);
            goOn.await();
            return loop(vcpu);
        });
        told.await();
        try (Pause _ = vcpu.pause()) {
            assertStill(vcpu);
            assertThatThrownBy(() -> addToRbx(vcpu)).isInstanceOf(IllegalStateException.class).hasMessage(
                    "The registers of " + vcpu + " cannot be written before KVM has completed its read of 4 bytes at "
                            + "0xd0000000: answer first, and call run() on its thread");
            answer.countDown();
            // Where it is waited for the vCPU's thread, an interrupt ends the wait and nothing else.
            Thread.currentThread().interrupt();
            vcpu.pause().close();
            assertThatThrownBy(() -> addToRbx(vcpu)).isInstanceOf(IllegalStateException.class);
            assertThat(Thread.interrupted()).isTrue();
            goOn.countDown();
            addToRbxInTheEnd(vcpu);
            assertThat(rbx(vcpu)).isEqualTo(1);
            assertStill(vcpu);
        }
        await("the guest goes on", () -> rounds(0) > 100);
        assertThat(rbx(vcpu)).isEqualTo(1);
        assertThat(loop.isDone()).isFalse();
    }

    /** A guest that got a wrong answer would end. */
    @Test
    void aPauseBetweenExitAndAnswerLosesNothing() throws Exception {
        Vcpu vcpu = guest(Guest.READS, 0);
        CountDownLatch paused = new CountDownLatch(1);
        FutureTask<Void> loop = start(() -> {
            for (int i = 0; i < PAUSES; i++) {
                MmioRead read = (MmioRead) vcpu.run();
                try (Pause _ = vcpu.pause()) {
                    read.answer(ANSWER);
                    addToRbx(vcpu);
                    assertThat(rbx(vcpu)).isEqualTo(i + 1);
                }
            }
            paused.countDown();
            return loop(vcpu);
        });
        paused.await();
        await("the guest goes on", () -> rounds(0) > PAUSES + 100);
        assertThat(rbx(vcpu)).isEqualTo(PAUSES);
        assertThat(loop.isDone()).isFalse();
    }

    @Test
    void whoAnsweredIsWaitedFor() throws Exception {
        Vcpu vcpu = guest(Guest.READS, 0);
        CountDownLatch answered = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        FutureTask<Void> loop = start(() -> {
            ((MmioRead) vcpu.run()).answer(ANSWER);
            answered.countDown();
            goOn.await();
            return loop(vcpu);
        });
        answered.await();
        FutureTask<Pause> pausing = start(vcpu::pause);
        Thread.sleep(50);
        assertThat(pausing.isDone()).isFalse();
        goOn.countDown();
        try (Pause _ = result(pausing)) {
            addToRbx(vcpu);
        }
        await("the guest goes on", () -> rounds(0) > 100);
        assertThat(rbx(vcpu)).isEqualTo(1);
        assertThat(loop.isDone()).isFalse();
    }

    @Test
    void twoThreadsThatAnsweredPauseEachOther() throws Exception {
        List<Vcpu> vcpus = List.of(guest(Guest.READS, 0), guest(Guest.READS, 1));
        CountDownLatch answered = new CountDownLatch(2);
        List<FutureTask<Void>> loops = vcpus.stream().map(vcpu -> start(() -> {
            ((MmioRead) vcpu.run()).answer(ANSWER);
            answered.countDown();
            answered.await();
            vm.pause().close();
            vcpus.get(1 - vcpu.id()).pause().close();
            return loop(vcpu);
        })).toList();
        await("both go on", () -> rounds(0) > 100 && rounds(1) > 100);
        assertThat(loops).noneMatch(FutureTask::isDone);
    }

    @Test
    void aThreadPausesItsOwnVcpu() {
        Vcpu vcpu = guest(Guest.EXITS, 0);
        try (Pause _ = vcpu.pause()) {
            addToRbx(vcpu);
            assertThatThrownBy(vcpu::run).isInstanceOf(IllegalStateException.class)
                    .hasMessage(vcpu + " is paused by this thread: close its pause first");
        }
        assertThat(vcpu.run()).isInstanceOf(PortWrite.class);
        try (Pause _ = vm.pause(); Pause _ = vcpu.pause()) {
            addToRbx(vcpu);
            assertThatThrownBy(vcpu::run).isInstanceOf(IllegalStateException.class);
        }
        assertThat(vcpu.run()).isInstanceOf(PortWrite.class);
        assertThat(rbx(vcpu)).isEqualTo(2);
    }

    @Test
    void aKickDuringAPauseIsAnsweredAfterIt() throws Exception {
        Vcpu vcpu = guest(Guest.SPINS, 0);
        FutureTask<VcpuExit> running = start(vcpu::run);
        await("the guest runs", () -> rounds(0) > 0);
        Pause pause = vcpu.pause();
        vcpu.kick();
        Thread.sleep(20);
        assertThat(running.isDone()).isFalse();
        pause.close();
        assertThat(result(running)).isEqualTo(VcpuExit.Interrupted.INSTANCE);
    }

    @Test
    void aCloseEndsARunThatWaits() throws Exception {
        for (boolean whole : List.of(false, true)) {
            try (Vm machine = kvm.createVm()) {
                Vcpu vcpu = machine.createVcpu(0);
                CountDownLatch bound = new CountDownLatch(1);
                CountDownLatch paused = new CountDownLatch(1);
                FutureTask<VcpuExit> running = start(() -> {
                    vcpu.kick();
                    assertThat(vcpu.run()).isEqualTo(VcpuExit.Interrupted.INSTANCE);
                    bound.countDown();
                    paused.await();
                    return vcpu.run();
                });
                bound.await();
                Pause pause = vcpu.pause();
                paused.countDown();
                Thread.sleep(20);
                assertThat(running.isDone()).isFalse();
                (whole ? machine : vcpu).close();
                assertThat(result(running)).isEqualTo(VcpuExit.Closed.INSTANCE);
                pause.close();
                assertThatThrownBy(vcpu::pause).isInstanceOf(ClosedException.class);
                assertThatThrownBy(vcpu::run).isInstanceOf(ClosedException.class);
            }
        }
        Vm closed = kvm.createVm();
        closed.close();
        assertThatThrownBy(closed::pause).isInstanceOf(ClosedException.class);
    }

    /** Wherever the loop is, it ends by the exit, and goes on no further. */
    @Test
    void aCloseEndsALoopByAnExit() throws Exception {
        for (int i = 0; i < 20; i++) {
            Vm machine = kvm.createVm();
            Vcpu vcpu = machine.createVcpu(0);
            CountDownLatch begun = new CountDownLatch(1);
            FutureTask<VcpuExit> ended = start(() -> {
                vcpu.kick();
                assertThat(vcpu.run()).isEqualTo(VcpuExit.Interrupted.INSTANCE);
                try (Pause _ = result(start(vcpu::pause))) {
                    begun.countDown();
                    VcpuExit exit = vcpu.run();
                    assertThatThrownBy(vcpu::run).isInstanceOf(ClosedException.class);
                    return exit;
                }
            });
            begun.await();
            machine.close();
            assertThat(result(ended)).isEqualTo(VcpuExit.Closed.INSTANCE);
        }
    }

    @Test
    void aCloseEndsAWaitForAPause() throws Exception {
        Vcpu vcpu = guest(Guest.READS, 0);
        CountDownLatch answered = new CountDownLatch(1);
        CountDownLatch end = new CountDownLatch(1);
        FutureTask<Void> thread = start(() -> {
            ((MmioRead) vcpu.run()).answer(ANSWER);
            answered.countDown();
            end.await();
            return null;
        });
        answered.await();
        FutureTask<Pause> pausing = start(vcpu::pause);
        FutureTask<Void> writing = start(() -> {
            addToRbx(vcpu);
            return null;
        });
        Thread.sleep(20);
        assertThat(pausing.isDone() || writing.isDone()).isFalse();
        vcpu.close();
        assertThatThrownBy(() -> result(pausing)).isInstanceOf(ClosedException.class);
        assertThatThrownBy(() -> result(writing)).isInstanceOf(ClosedException.class);
        end.countDown();
        result(thread);
    }

    @Test
    void anotherThreadRunsAVcpuThatWasLetGo() throws Exception {
        Vcpu vcpu = guest(Guest.READS, 0);
        assertThatThrownBy(vcpu::unbind).isInstanceOf(IllegalStateException.class).hasMessageContaining("is bound to");
        ((MmioRead) vcpu.run()).answer(ANSWER);
        assertThatThrownBy(() -> result(start(() -> {
            vcpu.unbind();
            return null;
        }))).isInstanceOf(IllegalStateException.class);
        vcpu.unbind();
        addToRbx(vcpu);
        // A thread that has ended has let go too; the next one answers what it left.
        MmioRead read = result(start(() -> (MmioRead) vcpu.run()));
        vcpu.pause().close();
        FutureTask<Void> loop = start(() -> {
            vcpu.kick();
            read.answer(ANSWER);
            assertThat(vcpu.run()).isEqualTo(VcpuExit.Interrupted.INSTANCE);
            return loop(vcpu);
        });
        await("the guest goes on", () -> rounds(0) > 100);
        assertThat(rbx(vcpu)).isEqualTo(1);
        assertThat(loop.isDone()).isFalse();
    }

    @Test
    void aVcpuThatNeverRanIsPausedToo() throws Exception {
        Vcpu vcpu = guest(Guest.SPINS, 0);
        FutureTask<Void> loop;
        try (Pause _ = vm.pause()) {
            addToRbx(vcpu);
            loop = start(() -> loop(vcpu));
            Thread.sleep(20);
            assertThat(rounds(0)).isZero();
            addToRbx(vcpu);
        }
        await("the guest runs", () -> rounds(0) > 0);
        assertThat(rbx(vcpu)).isEqualTo(2);
        assertThat(loop.isDone()).isFalse();
    }

    @Test
    void anInterruptedThreadPausesAllTheSame() throws Exception {
        Vcpu vcpu = guest(Guest.SPINS, 0);
        FutureTask<Void> loop = start(() -> loop(vcpu));
        await("the guest runs", () -> rounds(0) > 0);
        Thread.currentThread().interrupt();
        try (Pause _ = vcpu.pause()) {
            assertThat(Thread.interrupted()).isTrue();
            assertStill(vcpu);
        }
        assertThat(loop.isDone()).isFalse();
    }

    @Test
    void updatesOfManyThreadsAreAllDone() throws Exception {
        Vcpu vcpu = guest(Guest.SPINS, 0);
        FutureTask<Void> loop = start(() -> loop(vcpu));
        TimeUnit.MILLISECONDS.sleep(5);
        List<FutureTask<Void>> updates = IntStream.range(0, 4).mapToObj(_ -> VcpuThreads.<Void>start(() -> {
            for (int i = 0; i < 100; i++) {
                addToRbx(vcpu);
            }
            return null;
        })).toList();
        for (FutureTask<Void> update : updates) {
            result(update);
        }
        assertThat(rbx(vcpu)).isEqualTo(400);
        assertThat(loop.isDone()).isFalse();
    }
}
