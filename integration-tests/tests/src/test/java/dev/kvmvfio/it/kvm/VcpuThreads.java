package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/** Platform threads that run vCPUs, while the test's own thread does something else. */
public final class VcpuThreads {
    private VcpuThreads() {
    }

    public static <T> FutureTask<T> start(Callable<T> work) {
        FutureTask<T> task = new FutureTask<>(work);
        Thread.ofPlatform().name("vCPU").daemon().start(task);
        return task;
    }

    public static <T> T result(FutureTask<T> task) throws Exception {
        try {
            return task.get(60, TimeUnit.SECONDS);
        } catch (ExecutionException failure) {
            throw failure.getCause() instanceof RuntimeException unchecked ? unchecked : failure;
        }
    }

    /** Kicks a guest that never ends, at any moment, and awaits the answer before the next kick. */
    public static void assertEachKickIsAnswered(Vcpu vcpu, int kicks, Consumer<VcpuExit> otherExit) throws Exception {
        AtomicInteger answered = new AtomicInteger();
        FutureTask<Void> running = start(() -> {
            while (answered.get() < kicks) {
                VcpuExit exit = vcpu.run();
                if (exit == VcpuExit.Interrupted.INSTANCE) {
                    answered.incrementAndGet();
                } else {
                    otherExit.accept(exit);
                }
            }
            return null;
        });
        for (int kick = 1; kick <= kicks; kick++) {
            vcpu.kick();
            while (answered.get() < kick && !running.isDone()) {
                Thread.onSpinWait();
            }
            if (kick % 16 == 0) {
                Thread.sleep(0, kick * 31 % 1000 * 100);
            }
        }
        result(running);
        assertThat(answered).hasValue(kicks);
    }
}
