package dev.kvmvfio.it.odd;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KvmVfioException;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.NotModelledException;
import dev.kvmvfio.passthrough.VfioInterface;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Kernels that answer oddly, one after the other, each with a seed of its own. The program ends within a second, with less
 * than 64 MiB, with an exception that is documented, and nothing is left when the kernel lets go of what it refused to
 * give back. {@code -Dodd.cases} says how many, {@code -Dodd.seed} which is the first.
 */
@Tag("mock")
class OddKernelsTest {
    private static final int CASES = Integer.getInteger("odd.cases", 500);
    private static final long FIRST = Long.getLong("odd.seed", 1);
    private static final long MOST_NANOS = Duration.ofSeconds(1).toNanos();
    private static final long HANGS_NANOS = Duration.ofMinutes(1).toNanos();
    private static final int WARM_UP = 40;
    private static final long MOST_BYTES = 64 << 20;
    /** A program's own mistakes, which it cannot help when what it was told is odd. */
    private static final Set<Class<?>> OF_THE_PROGRAM = Set.of(IllegalArgumentException.class,
            IllegalStateException.class, UnsupportedOperationException.class, NoSuchElementException.class);

    private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private final List<Throwable> reported = new ArrayList<>();
    private final Map<String, Integer> endings = new TreeMap<>();
    private volatile long now;
    private volatile long since = System.nanoTime();
    private long slowest;
    private long largest;

    @Test
    void eachEndsWellWhateverTheKernelAnswers() throws Exception {
        FutureTask<?> all = new FutureTask<>(this::runAll, null);
        Thread worker = new Thread(all);
        worker.setDaemon(true);
        worker.setUncaughtExceptionHandler((_, failure) -> reported.add(failure));
        worker.start();
        while (!worker.join(Duration.ofSeconds(1))) {
            assertThat(System.nanoTime() - since)
                    .as(() -> "case " + now + " hangs in " + List.of(worker.getStackTrace()))
                    .isLessThan(HANGS_NANOS);
        }
        all.get();
    }

    private void runAll() {
        // What takes its time the first time is not the kernel's doing.
        for (int i = 0; i < WARM_UP; i++) {
            check(FIRST + i);
        }
        endings.clear();
        long began = System.nanoTime();
        for (int i = 0; i < CASES; i++) {
            run(FIRST + i);
        }
        System.out.printf("odd kernels: %d cases in %d s, the slowest %d ms, the largest %d KiB, %s%n", CASES,
                (System.nanoTime() - began) / 1_000_000_000, slowest / 1_000_000, largest >> 10, endings);
        assertThat(endings.keySet()).contains("AnswerException", "KernelException", "none");
    }

    /** By the thread's own time, because others may have the processors. */
    private void run(long seed) {
        long bytes = threads.getCurrentThreadAllocatedBytes();
        long nanos = threads.getCurrentThreadCpuTime();
        check(seed);
        nanos = threads.getCurrentThreadCpuTime() - nanos;
        bytes = threads.getCurrentThreadAllocatedBytes() - bytes;
        slowest = Math.max(slowest, nanos);
        largest = Math.max(largest, bytes);
        assertThat(nanos).as("nanoseconds of case %d", seed).isLessThan(MOST_NANOS);
        assertThat(bytes).as("bytes of case %d", seed).isLessThan(MOST_BYTES);
    }

    private void check(long seed) {
        now = seed;
        since = System.nanoTime();
        try (MockKernel mock = MockKernel.example()) {
            boolean looksAtHost = seed % 8 < 2;
            OddAnswers answers = new OddAnswers(mock, seed, looksAtHost ? 460 : 240);
            Kernel odd = OddKernel.of(mock, answers);
            Kernel kernel = seed % 16 < 4 ? ObservedKernel.observe(odd, SystemCall::toString) : odd;
            VfioInterface by = seed % 2 == 0 ? VfioInterface.CDEV : VfioInterface.GROUP;
            OddProgram program = new OddProgram(mock, kernel, by, seed % 8 < 4, answers);
            List<Throwable> thrown = new ArrayList<>();
            attempt(thrown, looksAtHost ? program::lookAtHost : program::run);
            endings.merge(thrown.isEmpty() ? "none" : thrown.getFirst().getClass().getSimpleName(), 1, Integer::sum);
            program.opened().reversed().forEach(handle -> attempt(thrown, handle::close));
            answers.heal();
            program.opened().reversed().forEach(Handle::close);
            thrown.addAll(reported);
            reported.clear();
            thrown.forEach(failure -> requireDocumented(seed, failure));
            assertThat(mock.leaks()).as("case %d, after %s", seed, thrown).isEmpty();
        } catch (Throwable failure) {
            throw new AssertionError("case " + seed, failure);
        }
    }

    private static void attempt(List<Throwable> thrown, Runnable step) {
        try {
            step.run();
        } catch (Throwable failure) {
            thrown.add(failure);
        }
    }

    private static void requireDocumented(long seed, Throwable failure) {
        boolean ofTheProgram = OF_THE_PROGRAM.contains(failure.getClass()) && isThrownByTheLibrary(failure);
        boolean documented = failure instanceof KvmVfioException || failure instanceof ClosedException
                || failure instanceof NotModelledException || ofTheProgram;
        if (!documented) {
            throw new AssertionError("case " + seed + " ends with what is not documented", failure);
        }
    }

    /** And not by the JDK below it. */
    private static boolean isThrownByTheLibrary(Throwable failure) {
        return failure.getStackTrace()[0].getClassName().startsWith("dev.kvmvfio.") && failure.getMessage() != null;
    }
}
