package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_segment;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import java.io.BufferedReader;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How programs end: by Ctrl-C, by System.exit, while guests run and while something is being closed. */
class ExitTest {
    private static final int STATUS = 7;
    private static final long LONG_MILLIS = 100_000;

    /** A program of a user, with two guests that never end by themselves and a thread that waits. */
    public static final class Program {
        private Program() {
        }

        /**
         * Runs.
         *
         * @param arguments mock or linux, and what to end with: nothing, exit, or the name of a call that an observer of it
         *        does so in
         */
        public static void main(String[] arguments) throws InterruptedException {
            String end = arguments[1];
            MockKernel mock = arguments[0].equals("mock") ? MockKernel.host(KernelProfile.V6_12).start() : null;
            CountDownLatch running = new CountDownLatch(2);
            AtomicBoolean ending = new AtomicBoolean();
            Kernel kernel = ObservedKernel.observe(mock == null ? Kernel.linux() : mock, call -> {
                if (call.name().equals(end) && running.getCount() == 0 && !ending.getAndSet(true)) {
                    System.exit(STATUS);
                }
            });
            Kvm kvm = Kvm.open(kernel);
            Vm vm = kvm.createVm();
            HostMemory ram = HostMemory.allocate(kernel, 1 << 16);
            vm.memory().add(0, ram);
            // jmp to itself
            ram.segment().set(ValueLayout.JAVA_SHORT, 0, (short) 0xfeeb);
            EventFd eventFd = EventFd.create(kernel);
            Thread.ofPlatform().start(() -> report("the wait", () -> eventFd.await(Duration.ofDays(1))));
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                long begun = System.nanoTime();
                for (AutoCloseable each : List.of(kvm, ram, eventFd)) {
                    report("closed", () -> {
                        each.close();
                        return each;
                    });
                }
                System.out.println("hook after " + (System.nanoTime() - begun) / 1_000_000 + " ms, "
                        + (mock == null || mock.leaks().isEmpty() ? "nothing is left" : mock.leaks()));
            }));
            for (int id = 0; id < 2; id++) {
                Vcpu vcpu = vm.createVcpu(id);
                prepare(mock, vm, vcpu);
                Thread.ofPlatform().start(() -> {
                    vcpu.kick();
                    vcpu.run();
                    running.countDown();
                    report("the guest", () -> vcpu.run() == VcpuExit.Closed.INSTANCE);
                });
            }
            running.await();
            Thread.sleep(50);
            System.out.println("running");
            if (end.equals("exit")) {
                System.exit(STATUS);
            } else if (!end.isEmpty()) {
                vm.close();
            }
        }

        private static void prepare(MockKernel mock, Vm vm, Vcpu vcpu) {
            if (mock != null) {
                mock.guest(vm.fd().number()).program(vcpu.id(), cpu -> {
                    while (true) {
                        cpu.read(0, 8);
                        Thread.yield();
                    }
                });
            } else {
                vcpu.x86().updateSregs(sregs -> {
                    kvm_segment.base(kvm_sregs.cs(sregs), 0);
                    kvm_segment.selector(kvm_sregs.cs(sregs), (short) 0);
                });
                vcpu.x86().updateRegs(regs -> kvm_regs.rip(regs, 0));
            }
        }

        private static void report(String what, Callable<?> work) {
            try {
                System.out.println(what + ": " + work.call());
            } catch (Exception failure) {
                System.out.println(what + ": " + failure.getClass().getSimpleName() + " " + failure.getMessage());
            }
        }
    }

    private record Ended(String output, int status, long millis) {
    }

    /** Runs the program until it says that it is running, ends it by a signal when it does not end by itself. */
    private static Ended run(String kernel, String end) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"),
                Program.class.getName(), kernel, end).redirectErrorStream(true).start();
        StringBuilder output = new StringBuilder();
        long begun = 0;
        try (BufferedReader lines = process.inputReader()) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                output.append(line).append('\n');
                if (line.equals("running")) {
                    begun = System.nanoTime();
                    if (end.isEmpty()) {
                        new ProcessBuilder("kill", "-INT", Long.toString(process.pid())).start().waitFor();
                    }
                }
            }
            assertThat(process.waitFor(60, TimeUnit.SECONDS)).as(output.toString()).isTrue();
            return new Ended(output.toString(), process.exitValue(), (System.nanoTime() - begun) / 1_000_000);
        } finally {
            process.destroyForcibly();
        }
    }

    /** An idle machine needs a fraction of a second; an emulated one, a hundred times as long. */
    private static void assertEndsInTime(String kernel, String end, int status) throws Exception {
        Ended ended = run(kernel, end);
        assertThat(ended.status).as(ended.output).isEqualTo(status);
        assertThat(ended.output).contains("the guest: true\n").contains("nothing is left")
                .contains("the wait: ClosedException eventfd").doesNotContain("closed: I").doesNotContain("closed: K");
        System.out.printf("ended %s on %s within %d ms%n", end.isEmpty() ? "by Ctrl-C" : "by exit", kernel,
                ended.millis);
        assertThat(ended.millis).isLessThan(5000);
    }

    @Tag("mock")
    @Test
    void aModelledGuestEndsWithTheProgram() throws Exception {
        assertEndsInTime("mock", "", 130);
        assertEndsInTime("mock", "exit", STATUS);
    }

    @Tag("kvm")
    @Test
    void aGuestEndsWithTheProgram() throws Exception {
        assertEndsInTime("linux", "", 130);
        assertEndsInTime("linux", "exit", STATUS);
    }

    /** The thread that ends the program is in a close, or in a run, that the hook would wait for. */
    @Tag("mock")
    @ParameterizedTest
    @ValueSource(strings = {"munmap", "close", "KVM_SET_USER_MEMORY_REGION", "KVM_RUN"})
    void anExitWithinACloseEndsTheProgramToo(String call) throws Exception {
        Ended ended = run("mock", call);
        assertThat(ended.status).as(ended.output).isEqualTo(STATUS);
        assertThat(ended.output).contains("hook after ").contains(" is left to the kernel: the program ends, by ");
        assertThat(ended.millis).as(ended.output).isLessThan(LONG_MILLIS);
    }
}
