package dev.kvmvfio.mock.internal.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** The thread of the code that a guest has on a vCPU. It goes on while the program is in {@code KVM_RUN}. */
public final class GuestThread implements Machine.Guest {
    private final VirtualMachine vm;
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

    /**
     * A thread that the first {@code KVM_RUN} starts.
     *
     * @param run {@code struct kvm_run} and the page behind it
     */
    GuestThread(VirtualMachine vm, String name, MemorySegment run, Consumer<? super GuestThread> program) {
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

    private void execute(Consumer<? super GuestThread> program) {
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

    /** What the guest shares with the program: {@code struct kvm_run} and the page behind it. */
    public MemorySegment shared() {
        return run;
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
    @Override
    public void stop() {
        stopped = true;
        thread.interrupt();
        machine.changed();
    }

    @Override
    public void join() {
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

    /** The guest's code does something, while the program is in {@code KVM_RUN}. */
    public <T> T inGuest(Supplier<T> action) {
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

    /**
     * The guest's code leaves to the program and waits until it is back.
     *
     * @param done what the next {@code KVM_RUN} does first, or null
     */
    public void leave(int reason, Runnable done) {
        kvm_run.exit_reason(run, reason);
        completion = done;
        exited = true;
        machine.changed();
        awaitRun();
    }

    /** The guest's code waits for an interrupt: in the kernel, or where that has no controller in the program. */
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
}
