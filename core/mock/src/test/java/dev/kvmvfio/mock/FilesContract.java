package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.system.statx;
import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What every kernel does with files, memory and eventfds, whatever their devices are. */
@Timeout(60)
abstract class FilesContract {
    private static final long BAD_ADDRESS = 8;
    private static final int PAGE = 4096;
    private static final int READ_WRITE = system_h.PROT_READ() | system_h.PROT_WRITE();
    private static final int ANONYMOUS = system_h.MAP_PRIVATE() | system_h.MAP_ANONYMOUS();

    private Kernel kernel;
    private Calls calls;

    abstract Kernel kernel();

    @BeforeEach
    void start() {
        kernel = kernel();
        calls = new Calls(kernel);
    }

    @AfterEach
    void end() {
        if (kernel instanceof MockKernel mock) {
            mock.close();
        }
    }

    @Test
    void theLowestFreeNumberIsTheNextOne() {
        int first = calls.eventFd();
        int second = calls.eventFd();
        int third = calls.eventFd();
        assertThat(kernel.close(second)).isZero();
        assertThat(kernel.dup(first)).as("reused").isEqualTo(second);
        assertThat(kernel.close(first)).isZero();
        assertThat(errno(kernel.close(first))).isEqualTo(Errno.EBADF);
        calls.close(second, third);
    }

    @Test
    void numbersThatStandForNothing() {
        MemorySegment buffer = calls.bytes(8);
        assertThat(errno(kernel.close(-1))).isEqualTo(Errno.EBADF);
        assertThat(errno(kernel.dup(1000))).isEqualTo(Errno.EBADF);
        assertThat(errno(kernel.ioctl(1000, kvm_h.KVM_CREATE_VM(), 0))).isEqualTo(Errno.EBADF);
        assertThat(errno(kernel.read(1000, buffer))).isEqualTo(Errno.EBADF);
        assertThat(errno(kernel.write(-1, buffer))).isEqualTo(Errno.EBADF);
        assertThat(errno(kernel.pread(1000, buffer, 0))).isEqualTo(Errno.EBADF);
        assertThat(errno(kernel.mmap(PAGE, READ_WRITE, system_h.MAP_SHARED(), 1000, 0))).isEqualTo(Errno.EBADF);
        assertThat(kernel.poll(1000, system_h.POLLIN(), 0)).isEqualTo(system_h.POLLNVAL());
    }

    @Test
    void whoseAFileIs() {
        MemorySegment status = calls.bytes(statx.sizeof());
        assertThat(kernel.stat("/proc/sys/kernel/osrelease", status)).isZero();
        assertThat(Integer.toOctalString(statx.stx_mode(status) & 0xffff)).isEqualTo("100444");
        assertThat(List.of(statx.stx_uid(status), statx.stx_gid(status))).containsExactly(0, 0);
        assertThat(kernel.stat("/sys/module", status)).isZero();
        assertThat(Integer.toOctalString(statx.stx_mode(status) & 0xffff)).isEqualTo("40755");
    }

    @Test
    void pathsThatLeadNowhere() {
        assertThat(errno(kernel.open("/dev/no-such-node", system_h.O_RDWR()))).isEqualTo(Errno.ENOENT);
        assertThat(errno(kernel.open("/proc/self/status/x", system_h.O_RDONLY()))).isEqualTo(Errno.ENOTDIR);
        assertThat(errno(kernel.open("/dev", system_h.O_RDWR()))).isEqualTo(Errno.EISDIR);
        assertThat(errno(kernel.list("/sys/no-such-folder", new ArrayList<>()))).isEqualTo(Errno.ENOENT);
        assertThat(errno(kernel.list("/proc/self/status", new ArrayList<>()))).isEqualTo(Errno.ENOTDIR);
        assertThat(errno(kernel.readlink("/dev/no-such-node", new StringBuilder()))).isEqualTo(Errno.ENOENT);
        assertThat(errno(kernel.readlink("/proc/self/status", new StringBuilder()))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.deviceNumber("/dev/no-such-node"))).isEqualTo(Errno.ENOENT);
        assertThat(errno(kernel.readFile("/dev/no-such-node", new ByteArrayOutputStream()))).isEqualTo(Errno.ENOENT);
        assertThat(errno(kernel.readFile("/proc/self/status/x", new ByteArrayOutputStream())))
                .isEqualTo(Errno.ENOTDIR);
        assertThat(errno(kernel.readFile("/dev", new ByteArrayOutputStream()))).isEqualTo(Errno.EISDIR);
        assertThat(errno(kernel.stat("/dev/no-such-node", calls.bytes(statx.sizeof())))).isEqualTo(Errno.ENOENT);
        assertThat(errno(kernel.access("/dev/no-such-node"))).isEqualTo(Errno.ENOENT);
        assertThat(errno(kernel.access("/proc/self/status/x"))).isEqualTo(Errno.ENOTDIR);
    }

    @Test
    void textFiles() {
        int fd = kernel.open("/proc/self/status", system_h.O_RDONLY());
        MemorySegment buffer = calls.bytes(8192);
        long length = kernel.read(fd, buffer);
        assertThat(length).isPositive();
        assertThat(kernel.read(fd, buffer)).as("at the end").isZero();
        assertThat(kernel.pread(fd, buffer.asSlice(0, 5), 0)).isEqualTo(5);
        assertThat(new String(buffer.asSlice(0, 5).toArray(ValueLayout.JAVA_BYTE))).isEqualTo("Name:");
        assertThat(errno(kernel.pread(fd, buffer, -1))).isEqualTo(Errno.EINVAL);
        kernel.close(fd);
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        assertThat(kernel.readFile("/proc/self/status", content)).isZero();
        assertThat(content.toString()).startsWith("Name:").contains("\nCapEff:\t");
        assertThat(calls.text("/proc/self/status")).contains("\nCapEff:\t", "\nVmLck:\t");
        assertThat(calls.text("/proc/self/limits")).contains("Max locked memory");
    }

    @Test
    void folders() {
        List<String> names = new ArrayList<>();
        assertThat(kernel.list("/dev", names)).isZero();
        assertThat(names).contains("kvm").doesNotContain(".", "..");
        int fd = kernel.open("/dev", system_h.O_RDONLY());
        assertThat(errno(kernel.read(fd, calls.bytes(8)))).isEqualTo(Errno.EISDIR);
        kernel.close(fd);
        assertThat(kernel.access("/dev/kvm")).isZero();
        assertThat(kernel.deviceNumber("/dev/kvm")).isEqualTo(10L << 32 | 232);
        assertThat(kernel.deviceNumber("/proc/self/status")).isZero();
    }

    @Test
    void anEventFdCounts() {
        int eventFd = kernel.eventfd(3, system_h.EFD_NONBLOCK());
        assertThat(kernel.poll(eventFd, system_h.POLLIN() | system_h.POLLOUT(), 0))
                .isEqualTo(system_h.POLLIN() | system_h.POLLOUT());
        assertThat(calls.signal(eventFd)).isEqualTo(8);
        assertThat(calls.take(eventFd)).isEqualTo(4);
        assertThat(errno(kernel.read(eventFd, calls.bytes(8)))).isEqualTo(Errno.EAGAIN);
        assertThat(kernel.poll(eventFd, system_h.POLLIN(), 0)).isZero();
        assertThat(kernel.poll(eventFd, system_h.POLLIN(), 20)).isZero();
        assertThat(errno(kernel.read(eventFd, calls.bytes(4)))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.write(eventFd, calls.bytes(4)))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.pread(eventFd, calls.bytes(8), 0))).isEqualTo(Errno.ESPIPE);
        assertThat(kernel.read(eventFd, MemorySegment.NULL)).as("no room").isEqualTo(-Errno.EINVAL.number());
        kernel.close(eventFd);
    }

    @Test
    void anEventFdIsFull() {
        int eventFd = kernel.eventfd(0, system_h.EFD_NONBLOCK());
        MemorySegment value = calls.bytes(8);
        value.set(ValueLayout.JAVA_LONG, 0, -1);
        assertThat(errno(kernel.write(eventFd, value))).as("the one number that is not allowed")
                .isEqualTo(Errno.EINVAL);
        value.set(ValueLayout.JAVA_LONG, 0, -2);
        assertThat(kernel.write(eventFd, value)).isEqualTo(8);
        assertThat(errno(calls.signal(eventFd))).isEqualTo(Errno.EAGAIN);
        assertThat(kernel.poll(eventFd, system_h.POLLIN() | system_h.POLLOUT(), 0)).isEqualTo(system_h.POLLIN());
        assertThat(calls.take(eventFd)).isEqualTo(-2);
        kernel.close(eventFd);
    }

    @Test
    void aSemaphoreCountsDown() {
        int eventFd = kernel.eventfd(2, system_h.EFD_NONBLOCK() | system_h.EFD_SEMAPHORE());
        assertThat(calls.take(eventFd)).isEqualTo(1);
        assertThat(calls.take(eventFd)).isEqualTo(1);
        assertThat(calls.take(eventFd)).isZero();
        kernel.close(eventFd);
        assertThat(errno(kernel.eventfd(0, 1 << 4))).isEqualTo(Errno.EINVAL);
    }

    @Test
    void aBlockingReadWaitsForTheSignal() throws InterruptedException {
        int eventFd = kernel.eventfd(0, 0);
        Thread signaller = Thread.ofPlatform().start(() -> {
            sleep(50);
            calls.signal(eventFd);
        });
        MemorySegment count = calls.bytes(8);
        assertThat(kernel.read(eventFd, count)).isEqualTo(8);
        assertThat(count.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(1);
        signaller.join();
        kernel.close(eventFd);
    }

    @Test
    void aFileThatIsClosedWhileItIsReadStaysUntilThen() throws InterruptedException {
        int eventFd = kernel.eventfd(0, 0);
        int copy = kernel.dup(eventFd);
        // The first read of a program takes long to begin, and the one that matters must have begun in time.
        calls.signal(copy);
        assertThat(kernel.read(eventFd, calls.bytes(8))).isEqualTo(8);
        Thread closer = Thread.ofPlatform().start(() -> {
            sleep(500);
            kernel.close(eventFd);
            calls.signal(copy);
        });
        assertThat(kernel.read(eventFd, calls.bytes(8))).isEqualTo(8);
        closer.join();
        kernel.close(copy);
    }

    @Test
    void pollWaitsForTheSignal() throws InterruptedException {
        int eventFd = calls.eventFd();
        Thread signaller = Thread.ofPlatform().start(() -> {
            sleep(50);
            calls.signal(eventFd);
        });
        long start = System.nanoTime();
        assertThat(kernel.poll(eventFd, system_h.POLLIN(), 30_000)).isEqualTo(system_h.POLLIN());
        assertThat(TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - start)).isLessThan(20);
        signaller.join();
        kernel.close(eventFd);
    }

    private List<Long> ready(int epoll, int room, int millis) {
        MemorySegment events = calls.bytes((long) room * Kernel.EPOLL_EVENT_SIZE);
        int count = kernel.epollWait(epoll, events, millis);
        List<Long> data = new ArrayList<>();
        for (long i = 0; i < count; i++) {
            assertThat(events.get(ValueLayout.JAVA_INT, i * Kernel.EPOLL_EVENT_SIZE)).isEqualTo(system_h.EPOLLIN());
            data.add(events.get(ValueLayout.JAVA_LONG, i * Kernel.EPOLL_EVENT_SIZE + Long.BYTES));
        }
        return data;
    }

    @Test
    void anEpollTellsWhichFilesAreReady() {
        int epoll = calls.epoll();
        int[] eventFds = {calls.eventFd(), calls.eventFd(), calls.eventFd()};
        for (int i = 0; i < eventFds.length; i++) {
            assertThat(calls.add(epoll, eventFds[i], -i)).isZero();
        }
        assertThat(ready(epoll, 3, 0)).isEmpty();
        assertThat(ready(epoll, 3, 20)).isEmpty();
        calls.signal(eventFds[1]);
        assertThat(ready(epoll, 3, -1)).containsExactly(-1L);
        assertThat(kernel.poll(epoll, system_h.POLLIN(), 0)).isEqualTo(system_h.POLLIN());
        calls.signal(eventFds[0]);
        assertThat(ready(epoll, 3, -1)).as("each until it is read").containsExactlyInAnyOrder(0L, -1L);
        List<Long> first = ready(epoll, 1, -1);
        assertThat(first).hasSize(1);
        assertThat(ready(epoll, 1, -1)).as("the other one next").hasSize(1).doesNotContainAnyElementsOf(first);
        assertThat(calls.take(eventFds[1])).isEqualTo(1);
        assertThat(ready(epoll, 3, -1)).containsExactly(0L);
        assertThat(kernel.epollControl(epoll, system_h.EPOLL_CTL_MOD(), eventFds[0], system_h.EPOLLIN(), 9)).isZero();
        assertThat(ready(epoll, 3, -1)).containsExactly(9L);
        assertThat(kernel.epollControl(epoll, system_h.EPOLL_CTL_DEL(), eventFds[0], 0, 0)).isZero();
        assertThat(ready(epoll, 3, 0)).isEmpty();
        calls.close(eventFds);
        calls.close(epoll);
    }

    @Test
    void aFileLeavesAnEpollWithItsLastNumber() {
        int epoll = calls.epoll();
        int eventFd = calls.eventFd();
        int copy = kernel.dup(eventFd);
        assertThat(calls.add(epoll, eventFd, 1)).isZero();
        assertThat(calls.add(epoll, copy, 2)).as("another number of it").isZero();
        calls.signal(eventFd);
        calls.close(eventFd);
        assertThat(ready(epoll, 3, 0)).containsExactlyInAnyOrder(1L, 2L);
        calls.close(copy);
        assertThat(ready(epoll, 3, 0)).isEmpty();
        calls.close(epoll);
    }

    @Test
    void epollsThatCannotBe() {
        int epoll = calls.epoll();
        int eventFd = calls.eventFd();
        assertThat(errno(kernel.epollCreate(1))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.add(1000, eventFd, 0))).isEqualTo(Errno.EBADF);
        assertThat(errno(calls.add(epoll, 1000, 0))).isEqualTo(Errno.EBADF);
        assertThat(errno(calls.add(epoll, epoll, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.add(eventFd, epoll, 0))).as("no epoll").isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.epollControl(epoll, system_h.EPOLL_CTL_DEL(), eventFd, 0, 0))).isEqualTo(Errno.ENOENT);
        assertThat(errno(kernel.epollControl(epoll, system_h.EPOLL_CTL_MOD(), eventFd, 0, 0))).isEqualTo(Errno.ENOENT);
        assertThat(errno(kernel.epollControl(epoll, 4, eventFd, 0, 0))).isEqualTo(Errno.EINVAL);
        assertThat(calls.add(epoll, eventFd, 0)).isZero();
        assertThat(errno(calls.add(epoll, eventFd, 1))).isEqualTo(Errno.EEXIST);
        MemorySegment room = calls.bytes(Kernel.EPOLL_EVENT_SIZE);
        assertThat(errno(kernel.epollWait(epoll, MemorySegment.NULL, 0))).as("no room").isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.epollWait(1000, room, 0))).isEqualTo(Errno.EBADF);
        assertThat(errno(kernel.epollWait(eventFd, room, 0))).isEqualTo(Errno.EINVAL);
        calls.close(epoll, eventFd);
    }

    private static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    @Test
    void memory() {
        assertThat(kernel.pageSize()).isEqualTo(PAGE);
        long address = calls.mapMemory(3 * PAGE);
        assertThat(address % PAGE).isZero();
        MemorySegment memory = Calls.at(address, 3 * PAGE);
        assertThat(memory.get(ValueLayout.JAVA_LONG, 2 * PAGE)).isZero();
        memory.set(ValueLayout.JAVA_LONG, 2 * PAGE, 7);
        assertThat(kernel.munmap(address, 3 * PAGE)).isZero();
        assertThat(kernel.munmap(address, 3 * PAGE)).as("nothing there").isZero();
        assertThat(errno(kernel.munmap(address + 1, PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.munmap(address, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.mmap(0, READ_WRITE, ANONYMOUS, -1, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.mmap(-1, READ_WRITE, ANONYMOUS, -1, 0))).isEqualTo(Errno.ENOMEM);
        assertThat(errno(kernel.mmap(PAGE, READ_WRITE, ANONYMOUS, -1, 1))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.mmap(PAGE, READ_WRITE, system_h.MAP_ANONYMOUS(), -1, 0))).isEqualTo(Errno.EINVAL);
        int eventFd = calls.eventFd();
        assertThat(errno(kernel.mmap(PAGE, READ_WRITE, system_h.MAP_SHARED(), eventFd, 0))).isEqualTo(Errno.ENODEV);
        kernel.close(eventFd);
    }

    @Test
    void memoryThatIsUsedAgainIsZero() {
        long address = calls.mapMemory(PAGE);
        Calls.at(address, PAGE).fill((byte) 1);
        kernel.munmap(address, PAGE);
        long again = calls.mapMemory(PAGE);
        assertThat(Calls.at(again, PAGE).toArray(ValueLayout.JAVA_BYTE)).containsOnly(0);
        kernel.munmap(again, PAGE);
    }

    @Test
    void badAddressesAreRefusedAndHarmless() {
        int eventFd = kernel.eventfd(1, system_h.EFD_NONBLOCK());
        for (long address : new long[]{0, BAD_ADDRESS, 1L << 46, -4096, Long.MIN_VALUE, Long.MAX_VALUE}) {
            MemorySegment nowhere = Calls.at(address, 8);
            assertThat(errno(kernel.write(eventFd, nowhere))).as("0x%x", address).isEqualTo(Errno.EFAULT);
        }
        kernel.close(eventFd);
    }
}
