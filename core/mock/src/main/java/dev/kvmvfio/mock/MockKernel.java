package dev.kvmvfio.mock;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.mock.internal.kvm.VmFile;
import dev.kvmvfio.mock.internal.pci.PciBus;
import dev.kvmvfio.mock.internal.pci.PciFunction;
import dev.kvmvfio.mock.internal.system.HostFiles;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.MachineKernel;
import dev.kvmvfio.mock.internal.system.Recorder;
import dev.kvmvfio.mock.model.DmaFault;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import dev.kvmvfio.mock.model.PciEndpoint;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A model of Linux with KVM, VFIO and iommufd on x86-64, for tests on machines that have none of them. Programs use it
 * through {@link Kernel} as they use the real one, and get the same answers: results, errnos and structs. It is not a
 * table of answers but a model: files that live as long as somebody holds them, groups, containers, address spaces and
 * devices.
 *
 * <pre>{@code
 * try (var kernel = MockKernel.host(KernelProfile.V6_12)
 *         .device("0000:6a:01.0", d -> d.id(0x8086, 0x10d3).group(26).cdev("vfio0").bar(0, 1 << 20).msix(16))
 *         .start();
 *         Kvm kvm = Kvm.open(kernel)) {
 *     // the program's own code, on this kernel
 *     System.out.println("API version " + kvm.apiVersion());
 * }
 * }</pre>
 *
 * <p>Beyond what a kernel does, it lets a call fail that would not ({@link #failCall(int, Errno)}) or come late
 * ({@link #delayCall(int, Duration)}), tells which calls
 * were made ({@link #trace()}), and what the program forgot to give back ({@link #leaks()}); {@link #close()} throws
 * when there is any of that. {@link #endpoint(String)} is the device's own side, and {@link #guest(int)} that of the
 * code in a virtual machine.
 *
 * <p>A kernel of 4 KiB pages is modelled, with the huge pages that the host reserves, in one process; a vCPU runs a
 * {@linkplain MockGuest#program program} in Java. What it deliberately does not model answers with a
 * {@link NotModelledException}, where all of it is listed.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread. Each kernel is a world of its own.
 */
public final class MockKernel extends ObservedKernel implements AutoCloseable {
    private static final Set<String> SYSTEM_CALLS = Set.of("open", "close", "dup", "ioctl", "mmap", "munmap", "read",
            "write", "pread", "pwrite", "poll", "eventfd", "memfd_create", "ftruncate", "readdir", "readlink", "stat",
            "access", "tgkill", "madvise", "epoll_create1", "epoll_ctl", "epoll_wait", "connect", "listen", "accept4",
            "sendmsg", "recvmsg", "statx");

    private final Machine machine;
    private final PciBus bus;
    private final Recorder recorder;

    MockKernel(Machine machine, PciBus bus, HostFiles hostFiles) {
        super(new MachineKernel(machine, hostFiles));
        this.machine = machine;
        this.bus = bus;
        this.recorder = new Recorder(machine::pause);
    }

    @Override
    protected long call(SystemCall call, LongSupplier made) {
        return machine.locked(() -> recorder.run(call, made)).longValue();
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
                                .bar(0, 1 << 17).bar(1, 1 << 17).ioBar(2, 32).bar(3, 1 << 14).msi(1).msix(5))
                .device("0000:6b:00.0", d -> d.edu().group(27).cdev("vfio1"))
                .device("0000:6b:00.1", d -> d.group(27).cdev("vfio2").bar(0, 1 << 12).msi(4))
                .device("0000:6c:00.0", d -> d.group(28).cdev("vfio3").bar(0, 1 << 14))
                .device("0000:6c:00.1",
                        d -> d.id(0x144d, 0xa80a).classCode(0x010802).group(28).driver("nvme").bar64(0, 1 << 14))
                .device("0000:6d:00.0", d -> d.id(0x1912, 0x0014).classCode(0x0c0330).group(29).withoutDriver()
                        .bar64(0, 1 << 13).msi(8))
                .file("/usr/share/misc/pci.ids", """
                        1234  Technical Corp.
                        144d  Samsung Electronics Co Ltd
                        \ta80a  NVMe SSD Controller PM9A1/PM9A3/980PRO
                        1912  Renesas Electronics Corp.
                        \t0014  uPD720201 USB 3.0 Host Controller
                        1b36  Red Hat, Inc.
                        \t0005  QEMU PCI Test Device
                        8086  Intel Corporation
                        \t10d3  82574L Gigabit Network Connection
                        """)
                .start();
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
        checkName(name);
        addFault(name, nth, errno);
    }

    /**
     * Makes a later call late: it begins after a time, in which calls of other threads go on and change what it finds.
     *
     * @param nth which call, 1 for the next one
     * @param time how late
     */
    public void delayCall(int nth, Duration time) {
        addDelay(null, nth, time);
    }

    /**
     * Makes a later call of one kind late.
     *
     * @param name as in {@link #failCall(String, int, Errno)}
     * @param nth which call of that name, 1 for the next one
     * @param time how late
     * @throws IllegalArgumentException when no call has that name
     */
    public void delayCall(String name, int nth, Duration time) {
        checkName(name);
        addDelay(name, nth, time);
    }

    private void addDelay(@Nullable String name, int nth, Duration time) {
        if (nth < 1 || !time.isPositive()) {
            throw new IllegalArgumentException("call " + nth + " cannot be late by " + time);
        }
        machine.locked(() -> recorder.addDelay(name, nth, time.toNanos()));
    }

    private static void checkName(String name) {
        if (!names().contains(name)) {
            throw new IllegalArgumentException("no call is named \"" + name + "\"; there are " + names());
        }
    }

    private void addFault(@Nullable String name, int nth, Errno errno) {
        if (nth < 1 || errno == Errno.UNKNOWN) {
            throw new IllegalArgumentException("call " + nth + " cannot fail with " + errno);
        }
        machine.locked(() -> recorder.addFault(name, nth, errno));
    }

    private static Set<String> names() {
        Set<String> names = ioctlNames();
        names.addAll(SYSTEM_CALLS);
        return names;
    }

    /**
     * Whether a call that was asked to fail or to be late has not come yet. A test that lets every call fail in turn ends when this
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
    public List<SystemCall> trace() {
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
        return machine.locked(machine::leaks).stream().map(Machine.Leak::words).toList();
    }

    /**
     * The hardware's side of a device.
     *
     * @param address such as {@code 0000:6a:01.0}
     * @return the device
     * @throws IllegalArgumentException when the host has no such device
     */
    public PciEndpoint endpoint(String address) {
        PciFunction function = bus.function(address);
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
        return machine.locked(() -> {
            if (machine.files().has(vmFd) && machine.files().get(vmFd) instanceof VmFile file) {
                return new MockGuest(machine, file.vm());
            }
            throw new IllegalArgumentException("fd " + vmFd + " is no VM");
        });
    }

    /**
     * Ends the test. Nothing is given back that the program still holds.
     *
     * @throws AssertionError when the program left something behind; it says what, and which line of the program opened
     *         or mapped it
     */
    @Override
    public void close() {
        List<Machine.Leak> leaks = machine.locked(machine::leaks);
        machine.close();
        if (!leaks.isEmpty()) {
            throw new AssertionError("left behind on the mock kernel:" + leaks.stream()
                    .map(leak -> "\n  " + leak.words() + leak.origin()).collect(Collectors.joining()));
        }
    }
}
