package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.system.system_h;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class FileDescriptorTest {
    private static final Kernel LINUX = Kernel.linux();
    private static final int NONBLOCKING = system_h.EFD_CLOEXEC() | system_h.EFD_NONBLOCK();
    private static final MemorySegment BUFFER = Arena.global().allocate(ValueLayout.JAVA_LONG);

    /** What a kernel was asked to do. */
    private final List<String> calls = Collections.synchronizedList(new ArrayList<>());

    /** Linux, with its calls written down. */
    private Kernel watched() {
        return (Kernel) Proxy.newProxyInstance(Kernel.class.getClassLoader(), new Class<?>[]{Kernel.class},
                (_, method, arguments) -> {
                    calls.add(method.getName());
                    return method.invoke(LINUX, arguments);
                });
    }

    private static FileDescriptor eventFd(Kernel kernel) {
        return FileDescriptor.own(kernel, LINUX.eventfd(0, NONBLOCKING), "eventfd");
    }

    /** Another file with that number. The kernel gives the lowest one that is free. */
    private static FileDescriptor reuse(int number) {
        FileDescriptor next = eventFd(LINUX);
        if (next.number() >= number) {
            assertThat(next.number()).isEqualTo(number);
            return next;
        }
        try (next) {
            return reuse(number);
        }
    }

    /** Tells one eventfd from another that later got its number. */
    private static String identity(int number) throws IOException {
        Path info = Path.of("/proc/self/fdinfo", Integer.toString(number));
        if (!Files.exists(info)) {
            return "closed";
        }
        return Files.readAllLines(info).stream().filter(line -> line.startsWith("eventfd-id")).findFirst()
                .orElse("other");
    }

    static Stream<Consumer<FileDescriptor>> everyCall() {
        Ioctl none = new Ioctl("NONE", 0);
        return Stream.of(fd -> fd.ioctl(none, BUFFER), fd -> fd.ioctl(none, 0L), fd -> fd.call(none, BUFFER),
                fd -> fd.call(none, 0L), fd -> fd.mmap(4096, 0, 0, 0), fd -> fd.read(BUFFER),
                fd -> fd.write(BUFFER), fd -> fd.pread(BUFFER, 0), fd -> fd.pwrite(BUFFER, 0), fd -> fd.poll(0, 0),
                fd -> fd.lend(number -> fd.kernel().poll(number, 0, 0)));
    }

    @ParameterizedTest
    @MethodSource("everyCall")
    void noCallGetsThroughAClosedHandle(Consumer<FileDescriptor> call) {
        FileDescriptor fd = eventFd(watched());
        String open = fd.toString();
        fd.close();
        assertThat(fd).hasToString(open.replace(")", ", closed)"));
        try (FileDescriptor _ = reuse(fd.number())) {
            assertThatThrownBy(() -> call.accept(fd)).isInstanceOf(IllegalStateException.class)
                    .hasMessage(open + " is closed");
            assertThat(calls).containsExactly("close");
            assertThat(fd.isOpen()).isFalse();
        }
    }

    @Test
    void closingTwiceSparesTheNextFileOfThatNumber() throws IOException {
        FileDescriptor fd = eventFd(LINUX);
        fd.close();
        try (FileDescriptor next = reuse(fd.number())) {
            String identity = identity(next.number());
            fd.close();
            assertThat(identity(next.number())).isEqualTo(identity).startsWith("eventfd-id");
        }
    }

    @Test
    void aCallThatRunsKeepsTheNumberUntilItReturns() throws Exception {
        FileDescriptor fd = eventFd(LINUX);
        int copy = LINUX.dup(fd.number());
        String identity = identity(fd.number());
        CountDownLatch running = new CountDownLatch(2);
        Runnable waiting = () -> fd.lend(number -> {
            running.countDown();
            return LINUX.poll(number, system_h.POLLIN(), -1);
        });
        Thread first = Thread.ofPlatform().start(waiting);
        Thread last = Thread.ofPlatform().start(waiting);
        running.await();
        fd.close();
        assertThat(fd.isOpen()).isFalse();
        try (FileDescriptor other = eventFd(LINUX)) {
            assertThat(other.number()).isNotEqualTo(fd.number());
            assertThat(identity(fd.number())).isEqualTo(identity);
        }
        BUFFER.set(ValueLayout.JAVA_LONG, 0, 1);
        assertThat(LINUX.write(copy, BUFFER)).isEqualTo(Long.BYTES);
        first.join();
        last.join();
        assertThat(identity(fd.number())).isEqualTo("closed");
        LINUX.close(copy);
    }

    @Test
    void theLastOfSeveralCallsGivesTheNumberBack() {
        FileDescriptor fd = eventFd(watched());
        fd.lend(_ -> fd.lend(_ -> {
            fd.close();
            assertThat(calls).isEmpty();
            return 0;
        }));
        assertThat(calls).containsExactly("close");
    }

    @Test
    void aCallThatThrowsReturnsTheNumber() {
        FileDescriptor fd = eventFd(watched());
        IllegalArgumentException failure = new IllegalArgumentException();
        assertThatThrownBy(() -> fd.lend(_ -> {
            throw failure;
        })).isSameAs(failure);
        fd.close();
        assertThat(calls).containsExactly("close");
    }

    /** Threads signal an eventfd while it is closed and its number goes to the next one, which must stay at zero. */
    @Test
    void noCallReachesTheFileThatGotTheNumberNext() throws InterruptedException {
        int reused = 0;
        for (int round = 0; round < 500; round++) {
            FileDescriptor old = eventFd(LINUX);
            CountDownLatch signalled = new CountDownLatch(2);
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                threads.add(Thread.ofPlatform().start(() -> signalUntilClosed(old, signalled)));
            }
            signalled.await();
            old.close();
            try (EventFd next = EventFd.create(LINUX)) {
                reused += next.fd().number() == old.number() ? 1 : 0;
                for (Thread thread : threads) {
                    thread.join();
                }
                assertThat(next.take()).isZero();
            }
        }
        assertThat(reused).as("rounds in which the number was reused").isPositive();
    }

    private static void signalUntilClosed(FileDescriptor fd, CountDownLatch signalled) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment one = arena.allocateFrom(ValueLayout.JAVA_LONG, 1);
            while (true) {
                assertThat(fd.write(one)).isEqualTo(Long.BYTES);
                signalled.countDown();
            }
        } catch (IllegalStateException closed) {
            assertThat(closed).hasMessageEndingWith("is closed");
        }
    }

    @Test
    void threadsThatCloseAtTheSameTimeCloseOnce() throws InterruptedException {
        for (int round = 0; round < 500; round++) {
            FileDescriptor fd = eventFd(watched());
            List<Thread> threads = Stream.generate(() -> Thread.ofPlatform().start(fd::close)).limit(3).toList();
            for (Thread thread : threads) {
                thread.join();
            }
            assertThat(calls).containsExactly("close");
            calls.clear();
        }
    }

    /** Closes files with less and less stack, and prints how many of the closes were cut short on their way to close(2). */
    static final class LittleStack {
        private LittleStack() {
        }

        private static void closeAt(int depth, FileDescriptor fd) {
            if (depth > 0) {
                closeAt(depth - 1, fd);
            } else {
                fd.close();
            }
        }

        /**
         * Throws when the next close of one of them did not give its number back.
         *
         * @param arguments none
         */
        public static void main(String[] arguments) {
            Kernel closing = new ObservedKernel(Kernel.linux()) {
                @Override
                protected long call(SystemCall call, LongSupplier made) {
                    return 0;
                }
            };
            int tooDeep = 0;
            while (!isCutShort(FileDescriptor.own(closing, 7, "file"), tooDeep)) {
                tooDeep += 20;
            }
            int cutShort = 0;
            for (int depth = tooDeep - 20; depth <= tooDeep; depth++) {
                FileDescriptor fd = FileDescriptor.own(closing, 7, "file");
                boolean isCutShort = isCutShort(fd, depth);
                cutShort += isCutShort && !fd.isOpen() && !fd.isGivenBack() ? 1 : 0;
                fd.close();
                if (!fd.isGivenBack()) {
                    throw new IllegalStateException(fd + " is not given back, at a depth of " + depth);
                }
            }
            System.out.println(cutShort);
        }

        private static boolean isCutShort(FileDescriptor fd, int depth) {
            try {
                closeAt(depth, fd);
                return false;
            } catch (StackOverflowError expected) {
                return true;
            }
        }
    }

    private static String path(Class<?> type) {
        return type.getProtectionDomain().getCodeSource().getLocation().getPath();
    }

    /** Not compiled: a compiled close takes the stack for all of its way at once. */
    @Test
    void aCloseThatRanOutOfStackIsFinishedByTheNext() throws Exception {
        String classes = Stream.of(LittleStack.class, Kernel.class, system_h.class)
                .map(FileDescriptorTest::path).collect(Collectors.joining(File.pathSeparator));
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin/java").toString(), "-Xint",
                "-Xss512k", "--enable-native-access=ALL-UNNAMED", "--class-path", classes,
                LittleStack.class.getName()).redirectErrorStream(true).start();
        assertThat(new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)).matches("[1-9]\\d*\n");
    }

    @Test
    void closesOnExec() throws IOException {
        try (FileDescriptor fd = FileDescriptor.open(LINUX, "/dev/null", system_h.O_RDWR())) {
            String flags = Files.readAllLines(Path.of("/proc/self/fdinfo/" + fd.number())).stream()
                    .filter(line -> line.startsWith("flags:")).findFirst().orElseThrow().substring(6).strip();
            assertThat(Integer.parseInt(flags, 8) & system_h.O_CLOEXEC()).isNotZero();
        }
    }

    @Test
    void aRefusedIoctlSaysWhatAndWhy() {
        try (FileDescriptor fd = eventFd(LINUX)) {
            assertThatThrownBy(() -> fd.call(new Ioctl("KVM_CREATE_VM", 0xae01), 0))
                    .isInstanceOfSatisfying(KernelException.class,
                            refused -> assertThat(refused.errno()).isEqualTo(Errno.ENOTTY))
                    .hasMessage("KVM_CREATE_VM on " + fd + ": ENOTTY (Inappropriate ioctl for device)");
        }
    }

    @Test
    void ownsOnlyWhatIsANumber() {
        assertThatThrownBy(() -> FileDescriptor.own(LINUX, -system_h.EMFILE(), "eventfd"))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("eventfd");
    }

    static Stream<Arguments> transfers() {
        return Stream.of(Arguments.of("read", true, transfer(FileDescriptor::read)),
                Arguments.of("write", false, transfer(FileDescriptor::write)),
                Arguments.of("pread", true, transfer((fd, buffer) -> fd.pread(buffer, 0))),
                Arguments.of("pwrite", false, transfer((fd, buffer) -> fd.pwrite(buffer, 0))));
    }

    private static BiConsumer<FileDescriptor, MemorySegment> transfer(
            BiConsumer<FileDescriptor, MemorySegment> transfer) {
        return transfer;
    }

    @ParameterizedTest
    @MethodSource("transfers")
    void aBufferIsNativeAndWritable(String call, boolean fills, BiConsumer<FileDescriptor, MemorySegment> transfer) {
        try (FileDescriptor fd = eventFd(watched())) {
            assertThatThrownBy(() -> transfer.accept(fd, MemorySegment.ofArray(new long[1])))
                    .isInstanceOf(IllegalArgumentException.class).hasMessage(call + " on " + fd
                            + " needs native memory, and this segment is on Java's heap: allocate it in an Arena");
            assertThat(calls).isEmpty();
            if (fills) {
                assertThatThrownBy(() -> transfer.accept(fd, BUFFER.asReadOnly()))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessage(call + " on " + fd + " writes to its memory, and this segment is read-only");
                assertThat(calls).isEmpty();
            } else {
                transfer.accept(fd, BUFFER.asReadOnly());
                assertThat(calls).containsExactly(call);
            }
        }
    }

    @Test
    void filesOfTwoKernelsAreNotLentTogether() {
        try (FileDescriptor one = eventFd(LINUX);
                FileDescriptor same = eventFd(ObservedKernel.observe(LINUX, _ -> {
                }));
                FileDescriptor other = eventFd(watched())) {
            assertThat(FileDescriptor.lend(List.of(one, same), numbers -> numbers[1])).isEqualTo(same.number());
            assertThatThrownBy(() -> FileDescriptor.lend(List.of(one, other), _ -> 0))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage(other + " is of another kernel than " + one);
            assertThat(other.isInUse() || one.isInUse()).isFalse();
        }
    }
}
