package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.EBADF;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOMEM;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;
import java.util.stream.Stream;

/**
 * A model of Linux with KVM, VFIO and iommufd on x86-64, for tests on machines that have none of them. Programs use it
 * through {@link Kernel} as they use the real one, and get the same answers: results, errnos and structs. It is not a
 * table of answers but a model: files that live as long as somebody holds them, groups, containers, address spaces and
 * devices.
 *
 * <pre>{@code
 * try (var kernel = MockKernel.host(KernelProfile.V6_12)
 *         .device("0000:6a:01.0", d -> d.id(0x8086, 0x10d3).group(26).cdev("vfio0").bar(0, 1 << 20).msiX(16))
 *         .start()) {
 *     // the program's own code, on this kernel
 * }
 * }</pre>
 *
 * <p>Beyond what a kernel does, it lets a call fail that would not ({@link #failCall(int, Errno)}), tells which calls
 * were made ({@link #trace()}), and what the program forgot to give back ({@link #leaks()}); {@link #close()} throws
 * when there is any of that. {@link #endpoint(String)} is the device's own side, and {@link #guest(int)} that of the
 * code in a virtual machine.
 *
 * <p>What it deliberately does not model answers with a {@link NotModelledException}: running a vCPU and its registers,
 * nested page tables, dirty bitmaps of DMA, migration, PASIDs, devices without an IOMMU, SR-IOV. A kernel of 4 KiB pages
 * is modelled, with the huge pages that the host reserves, in one process.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread. Each kernel is a world of its own.
 */
public final class MockKernel implements Kernel, AutoCloseable {
    private static final int NO_DESCRIPTOR = -1;
    private static final Set<String> SYSTEM_CALLS = Set.of("open", "close", "dup", "ioctl", "mmap", "munmap", "read",
            "write", "pread", "pwrite", "poll", "eventfd", "memfd_create", "ftruncate", "readdir", "readlink", "stat",
            "access");

    private final Machine machine;
    private final Recorder recorder = new Recorder();

    MockKernel(Machine machine) {
        this.machine = machine;
    }

    /**
     * Begins the description of a host.
     *
     * @param profile which Linux runs on it
     * @return the description, to add devices to and start
     */
    public static MockHost host(KernelProfile profile) {
        return new MockHost(profile);
    }

    /**
     * The host of the examples, with Linux 6.12: a network card at 0000:6a:01.0, alone in group 26, with the cdev
     * vfio0; QEMU's teaching device and a second device in group 27; in group 28 a device of VFIO beside one that the
     * host's own driver has, so that the group is not viable; and a device without a driver.
     *
     * @return the kernel of that host, to be closed by the caller
     */
    public static MockKernel example() {
        return host(KernelProfile.V6_12)
                .device("0000:6a:01.0",
                        d -> d.id(0x8086, 0x10d3).subsystem(0x8086, 0xa01f).classCode(0x020000).group(26).cdev("vfio0")
                                .bar(0, 1 << 17).bar(1, 1 << 17).ioBar(2, 32).bar(3, 1 << 14).msi(1).msiX(5))
                .device("0000:6b:00.0", d -> d.edu().group(27).cdev("vfio1"))
                .device("0000:6b:00.1", d -> d.group(27).cdev("vfio2").bar(0, 1 << 12).msi(4))
                .device("0000:6c:00.0", d -> d.group(28).cdev("vfio3").bar(0, 1 << 14))
                .device("0000:6c:00.1",
                        d -> d.id(0x144d, 0xa80a).classCode(0x010802).group(28).driver("nvme").bar64(0, 1 << 14))
                .device("0000:6d:00.0", d -> d.id(0x1912, 0x0014).classCode(0x0c0330).group(29).driver(null)
                        .bar64(0, 1 << 13).msi(8))
                .start();
    }

    @Override
    public int open(String path, int flags) {
        return (int) call("open", path, () -> "flags=0x" + Integer.toHexString(flags),
                () -> machine.files().install(machine.hostFiles().open(path, flags)));
    }

    @Override
    public int close(int fd) {
        return (int) onFile("close", fd, () -> "fd=" + fd, _ -> {
            machine.files().close(fd);
            return 0;
        });
    }

    @Override
    public int dup(int fd) {
        return (int) onFile("dup", fd, () -> "fd=" + fd, file -> machine.files().install(file.get()));
    }

    @Override
    public int ioctl(int fd, long request, MemorySegment segment) {
        if (!segment.isNative()) {
            throw new IllegalArgumentException("the argument of an ioctl must be native memory");
        }
        Argument argument = new Argument(machine.userMemory(), segment);
        return (int) machine.locked(() -> {
            OpenFile file = find(fd);
            if (file == null) {
                return recorder.run(new Recorder.Call("ioctl", "fd " + fd, "0x" + Long.toHexString(request), () -> ""),
                        MockKernel::noFile);
            }
            DecodedArgument decoded = new DecodedArgument(file.ioctls().layout(request), argument);
            Recorder.Call call = new Recorder.Call("ioctl", file.name(), file.nameOf(request, argument), decoded);
            return recorder.run(call, () -> held(file, () -> {
                long result = file.ioctl(request, argument);
                decoded.done();
                return result;
            }));
        }).longValue();
    }

    @Override
    public long mmap(long length, int protection, int flags, int fd, long offset) {
        return call("mmap", fd == NO_DESCRIPTOR ? "" : name(fd),
                () -> String.format("length=0x%x, protection=%d, flags=0x%x, offset=0x%x", length, protection, flags,
                        offset),
                () -> map(length, protection, flags, fd, offset));
    }

    private long map(long length, int protection, int flags, int fd, long offset) {
        boolean anonymous = (flags & system_h.MAP_ANONYMOUS()) != 0;
        boolean shared = (flags & system_h.MAP_SHARED()) != 0;
        boolean isPrivate = (flags & system_h.MAP_PRIVATE()) != 0;
        Refusal.when((offset & PhysicalMemory.PAGE - 1) != 0, EINVAL);
        OpenFile file = anonymous ? null : machine.files().get(fd);
        Refusal.when(length == 0, EINVAL);
        Refusal.when(length < 0 || !UserMemory.isUserRange(0, PhysicalMemory.wholePages(length)), ENOMEM);
        Refusal.when(!shared && !isPrivate, EINVAL);
        if ((flags & (system_h.MAP_FIXED() | system_h.MAP_FIXED_NOREPLACE())) != 0) {
            throw new NotModelledException("mmap at a fixed address");
        }
        boolean huge = (flags & system_h.MAP_HUGETLB()) != 0;
        if (huge && (flags & system_h.MAP_NORESERVE()) != 0) {
            throw new NotModelledException("huge pages that are not set aside");
        }
        OpenFile.MappingRequest request = new OpenFile.MappingRequest(PhysicalMemory.wholePages(length), protection,
                shared, offset);
        Mapping mapping = !anonymous ? file.mmap(request) : huge ? inHugePages(request, flags) : anonymous(request);
        machine.process().addressSpace().add(mapping);
        return mapping.address();
    }

    private Mapping anonymous(OpenFile.MappingRequest request) {
        PhysicalMemory.Block block = machine.physicalMemory().allocate(request.length());
        try {
            return new Mapping(block, 0, request.length(), request.writable(), null);
        } finally {
            block.put();
        }
    }

    private Mapping inHugePages(OpenFile.MappingRequest request, int flags) {
        MemoryFile file = MemoryFile.anonymous(machine, flags, request.length());
        try {
            return file.mmap(request);
        } finally {
            file.put();
        }
    }

    @Override
    public int munmap(long address, long length) {
        return (int) call("munmap", "", () -> String.format("address=0x%x, length=0x%x", address, length), () -> {
            machine.process().addressSpace().unmap(address, length);
            return 0;
        });
    }

    @Override
    public long read(int fd, MemorySegment buffer) {
        return onFile("read", fd, () -> bytes(buffer), file -> file.read(user(buffer)));
    }

    @Override
    public long write(int fd, MemorySegment buffer) {
        return onFile("write", fd, () -> bytes(buffer), file -> file.write(user(buffer)));
    }

    @Override
    public long pread(int fd, MemorySegment buffer, long offset) {
        return onFile("pread", fd, () -> bytes(buffer) + String.format(", offset=0x%x", offset), file -> {
            Refusal.when(offset < 0, EINVAL);
            return file.pread(user(buffer), offset);
        });
    }

    @Override
    public long pwrite(int fd, MemorySegment buffer, long offset) {
        return onFile("pwrite", fd, () -> bytes(buffer) + String.format(", offset=0x%x", offset), file -> {
            Refusal.when(offset < 0, EINVAL);
            return file.pwrite(user(buffer), offset);
        });
    }

    private OpenFile.Buffer user(MemorySegment buffer) {
        return new OpenFile.Buffer(machine.userMemory(), buffer);
    }

    private static String bytes(MemorySegment buffer) {
        return "bytes=" + buffer.byteSize();
    }

    @Override
    public int poll(int fd, int events, int timeoutMillis) {
        return (int) call("poll", fd < 0 ? "" : name(fd), () -> String.format("events=0x%x, timeout=%d ms", events,
                timeoutMillis), () -> poll(fd < 0 ? null : find(fd), fd, events, timeoutMillis));
    }

    private long poll(OpenFile file, int fd, int events, int timeoutMillis) {
        if (fd >= 0 && file == null) {
            return system_h.POLLNVAL();
        }
        return file == null
                ? await(() -> 0, timeoutMillis)
                : held(file, () -> await(() -> ready(file, events), timeoutMillis));
    }

    private static int ready(OpenFile file, int events) {
        return file.poll() & (events | system_h.POLLERR() | system_h.POLLHUP());
    }

    private long await(LongSupplier ready, int timeoutMillis) {
        long end = System.nanoTime() + timeoutMillis * 1_000_000L;
        while (true) {
            long events = ready.getAsLong();
            long left = timeoutMillis < 0 ? Long.MAX_VALUE : end - System.nanoTime();
            if (events != 0 || left <= 0) {
                return events;
            }
            machine.await(left);
        }
    }

    @Override
    public int eventfd(int initialValue, int flags) {
        return (int) call("eventfd", "", () -> String.format("value=%d, flags=0x%x", initialValue, flags),
                () -> machine.files().install(new EventFd(machine, initialValue, flags)));
    }

    @Override
    public int memfd(String name, int flags) {
        return (int) call("memfd_create", "", () -> String.format("name=%s, flags=0x%x", name, flags),
                () -> machine.files().install(MemoryFile.memfd(machine, name, flags)));
    }

    @Override
    public int ftruncate(int fd, long length) {
        return (int) onFile("ftruncate", fd, () -> String.format("length=0x%x", length),
                file -> file.ftruncate(length));
    }

    @Override
    public long rlimit(int resource) {
        if (resource != system_h.RLIMIT_MEMLOCK()) {
            throw new NotModelledException("getrlimit of resource " + resource);
        }
        return machine.process().memlock();
    }

    @Override
    public int pageSize() {
        return (int) PhysicalMemory.PAGE;
    }

    @Override
    public int list(String path, List<String> names) {
        return (int) call("readdir", path, () -> "", () -> {
            names.addAll(machine.hostFiles().tree().folder(path).children().keySet());
            return 0;
        });
    }

    @Override
    public int readlink(String path, StringBuilder target) {
        return (int) call("readlink", path, () -> "", () -> {
            target.append(machine.hostFiles().tree().link(path));
            return 0;
        });
    }

    @Override
    public long deviceNumber(String path) {
        return call("stat", path, () -> "", () -> machine.hostFiles().tree().find(path, true)
                .node() instanceof FileTree.DeviceNode node ? (long) node.major() << 32 | node.minor() : 0);
    }

    @Override
    public int access(String path) {
        return (int) call("access", path, () -> "", () -> machine.hostFiles().access(path));
    }

    private long call(String operation, String file, Supplier<String> arguments, LongSupplier body) {
        return machine.locked(() -> recorder.run(new Recorder.Call(operation, file, operation, arguments), body))
                .longValue();
    }

    private long onFile(String operation, int fd, Supplier<String> arguments, ToLongFunction<OpenFile> body) {
        return machine.locked(() -> {
            OpenFile file = find(fd);
            return recorder.run(new Recorder.Call(operation, name(fd), operation, arguments),
                    file == null ? MockKernel::noFile : () -> held(file, () -> body.applyAsLong(file)));
        }).longValue();
    }

    private static long noFile() {
        throw Refusal.of(EBADF);
    }

    /** Keeps a file open during a call, as another thread may close its number meanwhile. */
    private static long held(OpenFile file, LongSupplier body) {
        file.get();
        try {
            return body.getAsLong();
        } finally {
            file.put();
        }
    }

    private OpenFile find(int fd) {
        return machine.locked(() -> {
            try {
                return machine.files().get(fd);
            } catch (Refusal closed) {
                return null;
            }
        });
    }

    private String name(int fd) {
        OpenFile file = find(fd);
        return file == null ? "fd " + fd : file.name();
    }

    /** What an ioctl's argument points to before and after the call. */
    private static final class DecodedArgument implements Supplier<String> {
        private final GroupLayout layout;
        private final Argument argument;
        private final MemorySegment before;
        private MemorySegment after;

        DecodedArgument(GroupLayout layout, Argument argument) {
            this.layout = layout;
            this.argument = argument;
            this.before = layout == null ? null : read();
        }

        private MemorySegment read() {
            long known = argument.segment().byteSize();
            long size = known == 0 ? layout.byteSize() : Math.min(known, layout.byteSize());
            try {
                return argument.read(0, size);
            } catch (Refusal badAddress) {
                return null;
            }
        }

        void done() {
            after = layout == null ? null : read();
        }

        @Override
        public String get() {
            if (layout == null) {
                return argument.number() == 0 ? "" : String.format("0x%x", argument.number());
            }
            return before == null
                    ? String.format("a bad address, 0x%x", argument.number())
                    : StructText.describe(layout, before, after);
        }
    }

    /**
     * Makes a later call fail. The call does nothing and answers the errno; only a {@code close} closes all the same,
     * as Linux does.
     *
     * @param nth which call, 1 for the next one
     * @param errno how it fails
     */
    public void failCall(int nth, Errno errno) {
        addFault(null, nth, errno);
    }

    /**
     * Makes a later call of one kind fail.
     *
     * @param name the ioctl's request, such as {@code VFIO_DEVICE_BIND_IOMMUFD} or {@code KVM_DEV_VFIO_FILE_ADD}, or
     *        the system call, such as {@code mmap}
     * @param nth which call of that name, 1 for the next one
     * @param errno how it fails
     * @throws IllegalArgumentException when no call has that name
     */
    public void failCall(String name, int nth, Errno errno) {
        if (!names().contains(name)) {
            throw new IllegalArgumentException("no call is named \"" + name + "\"; there are " + names());
        }
        addFault(name, nth, errno);
    }

    private void addFault(String name, int nth, Errno errno) {
        if (nth < 1 || errno == Errno.UNKNOWN) {
            throw new IllegalArgumentException("call " + nth + " cannot fail with " + errno);
        }
        machine.locked(() -> recorder.addFault(name, nth, errno));
    }

    private static Set<String> names() {
        Stream<Ioctls<?>> all = Stream.of(KvmFile.IOCTLS, VmFile.IOCTLS, VcpuFile.IOCTLS, KvmDeviceFile.IOCTLS,
                GroupFile.IOCTLS, ContainerFile.IOCTLS, DeviceFile.IOCTLS, IommufdCommands.IOCTLS);
        Set<String> names = new TreeSet<>(SYSTEM_CALLS);
        all.flatMap(Ioctls::names).forEach(names::add);
        names.add(KvmDeviceFile.ADD);
        names.add(KvmDeviceFile.DELETE);
        return names;
    }

    /**
     * Whether a call that was asked to fail has not come yet. A test that lets every call fail in turn ends when this
     * is true.
     *
     * @return true while a fault waits
     */
    public boolean hasPendingFaults() {
        return machine.locked(recorder::hasFaults);
    }

    /**
     * The calls that were made, the oldest first; of a very long run the last 65536.
     *
     * @return a copy
     */
    public List<RecordedCall> trace() {
        return machine.locked(recorder::trace);
    }

    /** Forgets the calls that were made so far. */
    public void clearTrace() {
        machine.locked(recorder::clear);
    }

    /**
     * DMA that went wrong: to addresses that are not mapped, without the right, or from a device that may not.
     *
     * @return a copy, the oldest first
     */
    public List<DmaFault> dmaFaults() {
        return machine.locked(() -> List.copyOf(machine.dmaFaults()));
    }

    /**
     * What the program has not given back: open files, mappings, files that KVM holds, devices, I/O virtual addresses,
     * pinned pages.
     *
     * @return one sentence for each; empty when there is nothing
     */
    public List<String> leaks() {
        return machine.locked(machine::leaks);
    }

    /**
     * The hardware's side of a device.
     *
     * @param address such as {@code 0000:6a:01.0}
     * @return the device
     * @throws IllegalArgumentException when the host has no such device
     */
    public PciEndpoint endpoint(String address) {
        PciFunction function = machine.bus().function(address);
        if (function == null) {
            throw new IllegalArgumentException("the host has no device at " + address);
        }
        return function.endpoint();
    }

    /**
     * The side of the code in a virtual machine.
     *
     * @param vmFd the number of the VM's file
     * @return the guest
     * @throws IllegalArgumentException when the number is not that of an open VM
     */
    public MockGuest guest(int vmFd) {
        if (find(vmFd) instanceof VmFile file) {
            return new MockGuest(machine, file.vm());
        }
        throw new IllegalArgumentException("fd " + vmFd + " is no VM");
    }

    /**
     * Ends the test. Nothing is given back that the program still holds.
     *
     * @throws AssertionError when the program left something behind; it says what
     */
    @Override
    public void close() {
        List<String> leaks = leaks();
        machine.locked(machine.physicalMemory()::close);
        if (!leaks.isEmpty()) {
            throw new AssertionError("left behind on the mock kernel:\n  " + String.join("\n  ", leaks));
        }
    }
}
