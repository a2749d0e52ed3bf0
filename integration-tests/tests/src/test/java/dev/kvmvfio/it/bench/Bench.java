package dev.kvmvfio.it.bench;

import static dev.kvmvfio.it.kvm.Assembler.Register.RAX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RBX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RDX;
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import com.sun.management.ThreadMXBean;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.it.kvm.Assembler;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.vmm.LongMode;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.UnaryOperator;

/**
 * Compares this library with a loop in C that does the same on the same file: a short slice of one, a short slice of the
 * other, in one thread, so that what else the machine does meets both alike. Prints a line for each: its name, the
 * nanoseconds of C and of Java, the median ratio of adjacent slices, the bytes that Java allocated per call.
 */
public final class Bench {
    private static final long ENTRY = 0x10000;
    private static final long STACK = 0x20000;
    private static final long DEVICE = 0xd000_0000L;
    private static final int PORT = 0x3f8;

    private static final long SLICE_NANOS = 200_000;
    private static final long WARM_UP_NANOS = 3_000_000_000L;
    private static final int PAIRS = 8001;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private final MethodHandle runVcpu;
    private final MethodHandle call;

    @SuppressWarnings("restricted") // the loops are of this project
    private Bench(Path library) {
        SymbolLookup loops = SymbolLookup.libraryLookup(library, Arena.global());
        Linker linker = Linker.nativeLinker();
        runVcpu = linker.downcallHandle(loops.find("run_vcpu").orElseThrow(),
                FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));
        call = linker.downcallHandle(loops.find("call").orElseThrow(),
                FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG));
    }

    /** Does something so many times. */
    private interface Loop {
        long run(long times) throws Throwable;
    }

    /**
     * Measures all.
     *
     * @param arguments the library of C's loops
     * @throws Throwable when a loop fails
     */
    public static void main(String... arguments) throws Throwable {
        Bench bench = new Bench(Path.of(arguments[0]));
        try (Kvm kvm = Kvm.open(); HostMemory ram = HostMemory.allocate(Kernel.linux(), 1 << 20)) {
            bench.calls(kvm);
            bench.exits(kvm, ram);
        }
    }

    private void calls(Kvm kvm) throws Throwable {
        int fd = kvm.fd().number();
        long version = kvm_h.KVM_GET_API_VERSION();
        compare("KVM_GET_API_VERSION", times -> (long) call.invokeExact(fd, version, 0L, times), times -> {
            long sum = 0;
            for (long i = 0; i < times; i++) {
                sum += kvm.apiVersion();
            }
            return sum;
        });
        int capability = kvm_h.KVM_CAP_NR_MEMSLOTS();
        long check = kvm_h.KVM_CHECK_EXTENSION();
        compare("KVM_CHECK_EXTENSION", times -> (long) call.invokeExact(fd, check, (long) capability, times), times -> {
            long sum = 0;
            for (long i = 0; i < times; i++) {
                sum += kvm.checkExtension(capability);
            }
            return sum;
        });
    }

    private void exits(Kvm kvm, HostMemory ram) throws Throwable {
        exit("port write", kvm, ram, program -> program.out(1));
        exit("port read", kvm, ram, program -> program.in(1));
        exit("MMIO write", kvm, ram, program -> program.store(4, RBX, 0, RAX));
        exit("MMIO read", kvm, ram, program -> program.load(4, RAX, RBX, 4));
        exit("halt", kvm, ram, Assembler::hlt);
    }

    /** The guest does the same for ever; the loops of C and of Java run it in turn. */
    private void exit(String name, Kvm kvm, HostMemory ram, UnaryOperator<Assembler> access) throws Throwable {
        Assembler program = new Assembler(ENTRY).mov(RDX, PORT).mov(RBX, DEVICE).mov(RAX, 1);
        Assembler.Label again = program.here();
        byte[] code = access.apply(program).jmp(again).assemble();
        MemorySegment.copy(code, 0, ram.segment(), ValueLayout.JAVA_BYTE, ENTRY, code.length);
        try (Vm vm = kvm.createVm()) {
            vm.memory().add(0, ram);
            Vcpu vcpu = vm.createVcpu(0);
            vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
            LongMode.enter(vcpu, ram.segment(), ENTRY, STACK);
            int fd = vcpu.fd().number();
            MemorySegment shared = vcpu.kvmRun();
            compare(name, times -> (long) runVcpu.invokeExact(fd, shared, times), times -> run(vcpu, times));
        }
    }

    private static long run(Vcpu vcpu, long exits) {
        long sum = 0;
        for (long i = 0; i < exits; i++) {
            switch (vcpu.run()) {
                case VcpuExit.PortWrite out -> sum += out.value();
                case VcpuExit.PortRead in -> in.answer(1);
                case VcpuExit.MmioWrite write -> sum += write.value();
                case VcpuExit.MmioRead read -> read.answer(0);
                case VcpuExit.Halt _ -> sum++;
                case VcpuExit exit -> throw vcpu.unhandled(exit);
            }
        }
        return sum;
    }

    private static void compare(String name, Loop c, Loop java) throws Throwable {
        // The first calls are slow.
        time(c, 100);
        long times = slice(c);
        long warm = System.nanoTime() + WARM_UP_NANOS;
        while (System.nanoTime() < warm) {
            time(c, times);
            time(java, times);
        }
        double[] ofC = new double[PAIRS];
        double[] ofJava = new double[PAIRS];
        double[] ratios = new double[PAIRS];
        long allocated = 0;
        long thread = Thread.currentThread().threadId();
        for (int pair = 0; pair < PAIRS; pair++) {
            // Each goes first as often as the other.
            if (pair % 2 == 0) {
                ofC[pair] = time(c, times);
            }
            long before = THREADS.getThreadAllocatedBytes(thread);
            ofJava[pair] = time(java, times);
            allocated += THREADS.getThreadAllocatedBytes(thread) - before;
            if (pair % 2 != 0) {
                ofC[pair] = time(c, times);
            }
            ratios[pair] = ofJava[pair] / ofC[pair];
        }
        System.out.printf("%s\t%.1f\t%.1f\t%.4f\t%d%n", name, median(ofC) / times, median(ofJava) / times,
                median(ratios), allocated / (PAIRS * times));
    }

    /** How often C does it in a slice. */
    private static long slice(Loop c) throws Throwable {
        long times = 1;
        while (time(c, times) < SLICE_NANOS) {
            times *= 2;
        }
        return times;
    }

    private static double time(Loop loop, long times) throws Throwable {
        long start = System.nanoTime();
        long result = loop.run(times);
        double nanoseconds = System.nanoTime() - start;
        if (result < 0) {
            throw new IllegalStateException("the loop in C answered " + result);
        }
        return nanoseconds;
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }
}
