package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.kvmvfio.kernel.Epoll;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Kernel;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Who waits for interrupts does so millions of times: on the running Linux, it costs no memory. */
@Tag("mock")
class WaitAllocationTest {
    /** A program that knows one kernel, as users' programs do. */
    public static final class Program {
        private Program() {
        }

        /**
         * Tells what waits allocate.
         *
         * @param arguments none
         */
        public static void main(String[] arguments) {
            EventFd[] signalled = new EventFd[1];
            try (Epoll epoll = Epoll.create(Kernel.linux()); EventFd eventFd = EventFd.create(Kernel.linux())) {
                System.out.println("one: " + allocated(() -> {
                    eventFd.signal();
                    return eventFd.await(Duration.ZERO);
                }));
                epoll.add(eventFd);
                eventFd.signal();
                System.out.println("many: " + allocated(() -> epoll.await(signalled, Duration.ZERO)));
            }
        }

        private static long allocated(LongSupplier wait) {
            ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            long thread = Thread.currentThread().threadId();
            long allocated = Long.MAX_VALUE;
            // The interpreter allocates where compiled code does not, so the first rounds may.
            for (int round = 0; round < 200 && allocated > 0; round++) {
                long before = threads.getThreadAllocatedBytes(thread);
                for (int i = 0; i < 5_000; i++) {
                    if (wait.getAsLong() != 1) {
                        throw new AssertionError("nothing is signalled");
                    }
                }
                allocated = threads.getThreadAllocatedBytes(thread) - before;
            }
            return allocated;
        }
    }

    @Test
    void aWaitAllocatesNothing() throws Exception {
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"),
                Program.class.getName()).redirectErrorStream(true).start();
        assertThat(new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                .isEqualTo("one: 0\nmany: 0\n");
    }
}
