package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.system.statx;
import dev.kvmvfio.bindings.system.system_h;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The calls that the running Linux has and an older kernel behind the seam may lack: a result of each, and an errno. */
@Timeout(60)
class LinuxKernelTest {
    private static final Kernel LINUX = Kernel.linux();
    private static final int PAGE = LINUX.pageSize();
    private static final int READ_WRITE = system_h.PROT_READ() | system_h.PROT_WRITE();
    private static final int ANONYMOUS = system_h.MAP_PRIVATE() | system_h.MAP_ANONYMOUS();
    private static final int NO_FILE = 1 << 20;
    /** {@code SIGRTMIN + 5} of glibc and musl, which nothing here uses, and {@code SIGSEGV}, which the JDK handles. */
    private static final int FREE_SIGNAL = 39;
    private static final int TAKEN_SIGNAL = 11;
    private static final int SIGKILL = 9;

    private final Arena arena = Arena.ofConfined();
    private final List<Integer> files = new ArrayList<>();

    @TempDir
    Path folder;

    @AfterEach
    void close() {
        files.forEach(LINUX::close);
        arena.close();
    }

    private static Errno errno(long result) {
        assertThat(result).isNegative();
        return Errno.of((int) -result);
    }

    private int opened(int fd) {
        assertThat(fd).isNotNegative();
        files.add(fd);
        return fd;
    }

    private int eventFd(long count) {
        return opened(LINUX.eventfd((int) count, system_h.EFD_CLOEXEC()));
    }

    private MemorySegment text(String text) {
        return arena.allocateFrom(ValueLayout.JAVA_BYTE, text.getBytes(StandardCharsets.UTF_8));
    }

    private static boolean isCloseOnExec(int fd) throws IOException {
        String flags = Files.readAllLines(Path.of("/proc/self/fdinfo/" + fd)).stream()
                .filter(line -> line.startsWith("flags:")).findFirst().orElseThrow().substring(6).strip();
        return (Integer.parseInt(flags, 8) & system_h.O_CLOEXEC()) != 0;
    }

    @Test
    void memoryIsMappedAtAnAddressOfTheProgram() {
        long size = 4L * PAGE;
        long reserved = LINUX.mmap(size, system_h.PROT_NONE(), ANONYMOUS, -1, 0);
        long inside = reserved + PAGE;
        assertThat(errno(LINUX.mmap(inside, PAGE, READ_WRITE, ANONYMOUS | system_h.MAP_FIXED_NOREPLACE(), -1, 0)))
                .isEqualTo(Errno.EEXIST);
        assertThat(LINUX.mmap(inside, PAGE, READ_WRITE, ANONYMOUS | system_h.MAP_FIXED(), -1, 0)).isEqualTo(inside);
        assertThat(LINUX.munmap(inside, PAGE)).isZero();
        assertThat(LINUX.mmap(inside, PAGE, READ_WRITE, ANONYMOUS | system_h.MAP_FIXED_NOREPLACE(), -1, 0))
                .isEqualTo(inside);
        assertThat(LINUX.munmap(reserved, size)).isZero();
    }

    @Test
    void memoryIsAllocatedBeforeItIsUsed() {
        long memory = LINUX.mmap(PAGE, READ_WRITE, ANONYMOUS, -1, 0);
        assertThat(LINUX.madvise(memory, PAGE, system_h.MADV_POPULATE_WRITE())).isZero();
        assertThat(errno(LINUX.madvise(memory + 1, PAGE, system_h.MADV_POPULATE_WRITE()))).isEqualTo(Errno.EINVAL);
        assertThat(LINUX.munmap(memory, PAGE)).isZero();
    }

    @Test
    void oneThreadWaitsForManyFiles() throws IOException {
        int epoll = opened(LINUX.epollCreate(system_h.EPOLL_CLOEXEC()));
        assertThat(isCloseOnExec(epoll)).isTrue();
        int silent = eventFd(0);
        for (int i = 0; i < 3; i++) {
            assertThat(LINUX.epollControl(epoll, system_h.EPOLL_CTL_ADD(), eventFd(1), system_h.EPOLLIN(), -1L - i))
                    .isZero();
        }
        assertThat(LINUX.epollControl(epoll, system_h.EPOLL_CTL_ADD(), silent, system_h.EPOLLIN(), 7)).isZero();
        MemorySegment events = arena.allocate(4L * Kernel.EPOLL_EVENT_SIZE, Long.BYTES);
        assertThat(LINUX.epollWait(epoll, events, -1)).isEqualTo(3);
        assertThat(events.elements(MemoryLayout.sequenceLayout(Kernel.EPOLL_EVENT_SIZE,
                ValueLayout.JAVA_BYTE)).limit(3)).allSatisfy(
                        event -> assertThat(event.get(ValueLayout.JAVA_INT, 0)).isEqualTo(system_h.EPOLLIN()))
                .extracting(event -> event.get(ValueLayout.JAVA_LONG, 8)).containsExactlyInAnyOrder(-1L, -2L, -3L);
        assertThat(LINUX.epollWait(epoll, events.asSlice(0, Kernel.EPOLL_EVENT_SIZE), -1)).as("room for").isEqualTo(1);
    }

    @Test
    void nobodyIsReady() {
        int epoll = opened(LINUX.epollCreate(0));
        MemorySegment events = arena.allocate(Kernel.EPOLL_EVENT_SIZE, Long.BYTES);
        assertThat(LINUX.epollWait(epoll, events, 20)).isZero();
        assertThat(errno(LINUX.epollWait(epoll, MemorySegment.NULL, 0))).as("no room").isEqualTo(Errno.EINVAL);
        assertThat(errno(LINUX.epollControl(epoll, system_h.EPOLL_CTL_DEL(), eventFd(0), 0, 0)))
                .isEqualTo(Errno.ENOENT);
        assertThat(errno(LINUX.epollCreate(1))).isEqualTo(Errno.EINVAL);
    }

    @Test
    void anOpenFileGoesOverASocket() throws IOException {
        String path = folder.resolve("socket").toString();
        int listening = opened(LINUX.listen(path));
        int client = opened(LINUX.connect(path));
        int server = opened(LINUX.accept(listening));
        assertThat(List.of(isCloseOnExec(listening), isCloseOnExec(client), isCloseOnExec(server))).containsOnly(true);
        assertThat(LINUX.sendmsg(server, text("two"), new int[]{eventFd(5), eventFd(6)})).isEqualTo(3);

        MemorySegment bytes = arena.allocate(16);
        int[] received = new int[3];
        assertThat(LINUX.recvmsg(client, bytes, received)).isEqualTo(3);
        assertThat(bytes.getString(0)).isEqualTo("two");
        assertThat(received[2]).isEqualTo(-1);
        assertThat(isCloseOnExec(opened(received[0]))).isTrue();
        MemorySegment count = arena.allocate(ValueLayout.JAVA_LONG);
        assertThat(LINUX.read(opened(received[1]), count)).isEqualTo(Long.BYTES);
        assertThat(count.get(ValueLayout.JAVA_LONG, 0)).as("the second one's count").isEqualTo(6);
    }

    @Test
    void bytesAloneGoOverASocketToo() {
        String path = folder.resolve("socket").toString();
        int listening = opened(LINUX.listen(path));
        int client = opened(LINUX.connect(path));
        int server = opened(LINUX.accept(listening));
        assertThat(LINUX.sendmsg(client, text("none"), new int[0])).isEqualTo(4);
        int[] received = {3};
        assertThat(LINUX.recvmsg(server, arena.allocate(16), received)).isEqualTo(4);
        assertThat(received).containsExactly(-1);
        assertThat(LINUX.sendmsg(client, text("too many"), new int[]{client, client})).isEqualTo(8);
        int[] one = new int[1];
        assertThat(LINUX.recvmsg(server, arena.allocate(16), one)).isEqualTo(8);
        opened(one[0]);
        files.remove((Integer) client);
        LINUX.close(client);
        LINUX.close(one[0]);
        files.remove((Integer) one[0]);
        assertThat(LINUX.recvmsg(server, arena.allocate(16), one)).as("nobody has the other end").isZero();
        assertThat(errno(LINUX.sendmsg(server, text("gone"), new int[0]))).isEqualTo(Errno.EPIPE);
    }

    @Test
    void socketsThatCannotBe() {
        String nobody = folder.resolve("nobody").toString();
        assertThat(errno(LINUX.connect(nobody))).isEqualTo(Errno.ENOENT);
        opened(LINUX.listen(nobody));
        assertThat(errno(LINUX.listen(nobody))).isEqualTo(Errno.EADDRINUSE);
        assertThat(errno(LINUX.connect("/" + "x".repeat(107)))).isEqualTo(Errno.ENAMETOOLONG);
        assertThat(errno(LINUX.connect("/" + "x".repeat(106)))).as("just short enough").isEqualTo(Errno.ENOENT);
        int eventFd = eventFd(0);
        assertThat(errno(LINUX.accept(eventFd))).isEqualTo(Errno.ENOTSOCK);
        assertThat(errno(LINUX.sendmsg(eventFd, text("x"), new int[0]))).isEqualTo(Errno.ENOTSOCK);
        assertThat(errno(LINUX.recvmsg(eventFd, text("x"), new int[0]))).isEqualTo(Errno.ENOTSOCK);
    }

    @Test
    void aRefusedSocketLeavesNoFile() throws IOException {
        int next = eventFd(0);
        files.remove((Integer) next);
        LINUX.close(next);
        assertThat(errno(LINUX.connect(folder.resolve("nobody").toString()))).isEqualTo(Errno.ENOENT);
        assertThat(errno(LINUX.listen("/proc/socket"))).isIn(Errno.EPERM, Errno.EACCES, Errno.ENOENT);
        assertThat(Files.exists(Path.of("/proc/self/fd/" + next))).isFalse();
    }

    @Test
    void anOpenFileTellsWhichItIs() throws IOException {
        MemorySegment status = statx.allocate(arena);
        assertThat(LINUX.fstat(opened(LINUX.open("/dev/null", system_h.O_RDONLY())), status)).isZero();
        assertThat(statx.stx_mode(status) & system_h.S_IFMT()).isEqualTo(system_h.S_IFCHR());
        assertThat(List.of(statx.stx_rdev_major(status), statx.stx_rdev_minor(status))).containsExactly(1, 3);

        Path file = Files.createFile(folder.resolve("file"));
        int fd = opened(LINUX.open(file.toString(), system_h.O_RDONLY()));
        Files.move(file, folder.resolve("renamed"));
        assertThat(LINUX.fstat(fd, status)).isZero();
        assertThat(statx.stx_mode(status) & system_h.S_IFMT()).isEqualTo(system_h.S_IFREG());
        assertThat(statx.stx_ino(status)).isEqualTo(Files.getAttribute(folder.resolve("renamed"), "unix:ino"));
        assertThat(errno(LINUX.fstat(NO_FILE, status))).isEqualTo(Errno.EBADF);
        assertThatThrownBy(() -> LINUX.fstat(fd, status.asSlice(0, 255))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("256");
    }

    @Test
    void aPathTellsWhoseItIs() throws IOException {
        MemorySegment status = statx.allocate(arena);
        Path link = Files.createSymbolicLink(folder.resolve("null"), Path.of("/dev/null"));
        assertThat(LINUX.stat(link.toString(), status)).isZero();
        assertThat(List.of(statx.stx_uid(status), statx.stx_gid(status), (int) statx.stx_mode(status)))
                .containsExactly(0, 0, system_h.S_IFCHR() | 0666);
        assertThat(List.of(statx.stx_rdev_major(status), statx.stx_rdev_minor(status))).containsExactly(1, 3);
        assertThat(errno(LINUX.stat("/dev/null/x", status))).isEqualTo(Errno.ENOTDIR);
    }

    @Test
    void aThreadIsInterruptedByASignalOfTheProgram() throws Exception {
        CompletableFuture<Integer> waiting = new CompletableFuture<>();
        CompletableFuture<Integer> ended = new CompletableFuture<>();
        CompletableFuture<Void> released = new CompletableFuture<>();
        Thread.ofPlatform().start(() -> {
            waiting.complete(LINUX.threadId());
            ended.complete(LINUX.poll(-1, 0, -1));
            released.join();
        });
        int thread = waiting.get();
        while (!ended.isDone()) {
            assertThat(LINUX.interrupt(thread, FREE_SIGNAL)).isZero();
            Thread.sleep(1);
        }
        released.complete(null);
        assertThat(errno(ended.get())).isEqualTo(Errno.EINTR);
        assertThat(errno(LINUX.interrupt(LINUX.threadId(), TAKEN_SIGNAL))).isEqualTo(Errno.EBUSY);
        assertThat(errno(LINUX.interrupt(LINUX.threadId(), SIGKILL))).isEqualTo(Errno.EINVAL);
        assertThat(errno(LINUX.interrupt(LINUX.threadId(), 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(LINUX.interrupt(NO_FILE * 8, FREE_SIGNAL))).isEqualTo(Errno.ESRCH);
    }

    @ParameterizedTest
    @ValueSource(strings = {"amd64", "aarch64", "riscv64", "loongarch64"})
    void isThereWhereTheNumbersWereProved(String architecture) {
        assertThatCode(() -> LinuxKernel.requireLinux("Linux", architecture)).doesNotThrowAnyException();
    }

    @ParameterizedTest
    @CsvSource({"Linux, ppc64le", "Linux, mips64el", "Linux, s390x", "Linux, arm", "Linux, x86", "Linux, riscv32",
        "Mac OS X, aarch64", "Windows 11, amd64"})
    void isNowhereElse(String os, String architecture) {
        assertThatThrownBy(() -> LinuxKernel.requireLinux(os, architecture))
                .isInstanceOf(UnsupportedOperationException.class)
                .hasMessageContaining("Linux on amd64, aarch64, riscv64, loongarch64")
                .hasMessageContaining(os + " on " + architecture);
    }
}
