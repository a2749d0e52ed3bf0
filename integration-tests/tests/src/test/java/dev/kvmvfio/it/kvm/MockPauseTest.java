package dev.kvmvfio.it.kvm;

import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.MpState;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.mock.MockCpu;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import java.util.concurrent.atomic.AtomicLongArray;
import org.junit.jupiter.api.Tag;

@Tag("mock")
class MockPauseTest extends PauseContract {
    private static final int GSI = 5;

    private MockKernel mock;
    private final AtomicLongArray rounds = new AtomicLongArray(4);
    private EventFd interrupt;

    @Override
    Kernel open() {
        mock = MockKernel.host(KernelProfile.V6_12).start();
        return mock;
    }

    @Override
    void end() {
        if (interrupt != null) {
            interrupt.close();
        }
        mock.close();
    }

    @Override
    Vcpu guest(Guest kind, int id) {
        if (kind == Guest.HALTS && interrupt == null) {
            vm.interrupts().createIrqchip();
            interrupt = EventFd.create(kernel);
            vm.interrupts().addIrqFd(interrupt, GSI);
        }
        Vcpu vcpu = vm.createVcpu(id);
        if (kind == Guest.HALTS) {
            vcpu.setMpState(MpState.RUNNABLE);
        }
        mock.guest(vm.fd().number()).program(id, cpu -> {
            do {
                rounds.incrementAndGet(id);
                Thread.yield();
            } while (doesRound(kind, cpu));
        });
        return vcpu;
    }

    private static boolean doesRound(Guest kind, MockCpu cpu) {
        switch (kind) {
            case EXITS -> cpu.out(PORT, 1, 1);
            case SPINS -> cpu.read(0, 8);
            case HALTS -> cpu.halt();
            case READS -> {
                return cpu.read(DEVICE, 4) == ANSWER;
            }
        }
        return true;
    }

    @Override
    long rounds(int id) {
        return rounds.get(id);
    }

    @Override
    void interrupt(int id) {
        interrupt.signal();
    }
}
