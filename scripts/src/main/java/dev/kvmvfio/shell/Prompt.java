package dev.kvmvfio.shell;

import dev.kvmvfio.cli.DeviceNames;
import dev.kvmvfio.cli.Visible;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.AttachRequest;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.passthrough.Finding;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.HostCheck;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.VfioDevice;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/**
 * What can be typed at the prompt besides the library's own types. It all concerns one host at a time, the running
 * Linux until {@link #mock()}, and it is given back when the shell ends.
 */
public final class Prompt {
    private static final Deque<Handle> OPENED = new ArrayDeque<>();
    private static final int NO_THREAD = -1;
    private static final int USUAL_MEMORY_SHIFT = 30;

    /** What a script was given behind its name. */
    private static volatile String[] arguments = {};
    private static volatile Kernel host;
    /** The number that the host has for the thread of the snippets. */
    private static volatile int thread = NO_THREAD;
    private static Kvm kvm;

    private Prompt() {
    }

    /**
     * The host that everything here is about.
     *
     * @return the running Linux, or the mock
     */
    public static synchronized Kernel kernel() {
        if (host == null) {
            host = Kernel.linux();
            noteThread();
        }
        return host;
    }

    /** To be called on the thread of the snippets. */
    static void noteThread() {
        thread = host == null ? NO_THREAD : host.threadId();
    }

    /** Ends what that thread does in the host's kernel. */
    static void interrupt() {
        int number = thread;
        if (number != NO_THREAD) {
            host.interrupt(number);
        }
    }

    /**
     * What follows the name of the script.
     *
     * @return a copy; empty at the prompt
     */
    public static String[] args() {
        return arguments.clone();
    }

    static void setArguments(List<String> words) {
        arguments = words.toArray(String[]::new);
    }

    /**
     * Goes over to the mock's example host, which has the devices of the examples. What was opened before is closed.
     *
     * @return the mock
     */
    public static synchronized MockKernel mock() {
        close();
        MockKernel mock = MockKernel.example();
        host = mock;
        noteThread();
        return mock;
    }

    /**
     * The host's PCI devices.
     *
     * @return a table: address, name, driver, IOMMU group, cdev, and whether each can be attached or why not
     */
    public static DeviceTable devices() {
        return new DeviceTable(Candidate.list(kernel()));
    }

    /**
     * Opens {@code /dev/kvm} of the host, once.
     *
     * @return KVM, closed with the shell
     */
    public static synchronized Kvm kvm() {
        if (kvm == null || !kvm.isOpen()) {
            kvm = keep(Kvm.open(kernel()));
        }
        return kvm;
    }

    /**
     * Attaches a device to a new VM.
     *
     * @param address such as {@code 0000:6a:01.0}, or a name such as {@code eth1}
     * @return the attachment; {@code device()} is the device; {@code close()} detaches it
     */
    public static AttachedDevice attach(String address) {
        return inNewVm(request(address)::attach);
    }

    /**
     * Attaches a device to a new VM.
     *
     * @param address such as {@code 0000:6a:01.0}, or a name such as {@code eth1}
     * @param by the cdev or the group
     * @return as {@link #attach(String)}
     */
    public static AttachedDevice attach(String address, VfioInterface by) {
        return inNewVm(request(address).via(by)::attach);
    }

    /**
     * Attaches a device to a new VM that has memory.
     *
     * @param address such as {@code 0000:6a:01.0}, or a name such as {@code eth1}
     * @param memory the guest's memory from address 0, which the device reaches at the same addresses
     * @return as {@link #attach(String)}
     */
    public static AttachedDevice attach(String address, HostMemory memory) {
        AttachRequest request = request(address);
        return inNewVm(vm -> request.attach(GuestMemory.create(vm, 0, memory)));
    }

    private static AttachRequest request(String address) {
        return AttachedDevice.request(kernel(), DeviceNames.findOne(kernel(), address).address());
    }

    private static AttachedDevice inNewVm(Function<Vm, AttachedDevice> attach) {
        Vm vm = kvm().createVm();
        try {
            return attach.apply(vm);
        } catch (RuntimeException refused) {
            vm.close();
            throw refused;
        }
    }

    /**
     * Memory for a guest or for DMA.
     *
     * @param size in bytes
     * @return the memory, closed with the shell
     */
    public static HostMemory memory(long size) {
        return keep(HostMemory.allocate(kernel(), size));
    }

    /**
     * An eventfd.
     *
     * @return the eventfd, closed with the shell
     */
    public static EventFd eventFd() {
        return keep(EventFd.create(kernel()));
    }

    /**
     * Gives a device to {@code vfio-pci}, unless the host uses it; {@code kvm-vfio unbind} or {@link #unbind} gives it
     * back.
     *
     * @param name its address, or a name such as {@code eth1}
     * @return the binding that it has then
     */
    public static DriverBinding bind(String name) {
        PciDevice device = DeviceNames.findOne(kernel(), name);
        DriverBinding.bind(device, "vfio-pci");
        return DriverBinding.of(device);
    }

    /**
     * Gives a device back to the host.
     *
     * @param name its address, or a name such as {@code vfio0}
     * @return the binding that it has then
     */
    public static DriverBinding unbind(String name) {
        return DriverBinding.unbind(DeviceNames.findOne(kernel(), name));
    }

    /** Prints what the host lacks, and what mends it. */
    public static void doctor() {
        for (Finding finding : HostCheck.run(kernel(), 1L << USUAL_MEMORY_SHIFT)) {
            print("%-8s %-20s %s", finding.level().name().toLowerCase(Locale.ROOT), finding.id(), finding.reason());
            if (!finding.remedy().isEmpty()) {
                print("%-30s> %s", "", finding.remedy());
            }
        }
    }

    /**
     * Prints the configuration space of a device, decoded.
     *
     * @param attached the device
     */
    public static void config(AttachedDevice attached) {
        config(attached.device());
    }

    /**
     * Prints the configuration space of a device, decoded.
     *
     * @param device the device
     */
    public static void config(VfioDevice device) {
        device.configSpace().toString().lines().forEach(line -> print("%s", line));
    }

    /**
     * Prints the regions that a device has.
     *
     * @param attached the device
     */
    public static void regions(AttachedDevice attached) {
        attached.device().regions().stream().filter(region -> region.size() > 0)
                .forEach(region -> print("%2d  %-14s %#12x bytes  %s", region.index(), region.name(), region.size(),
                        String.join(" ", region.access())));
    }

    /**
     * Prints a part of a region, byte by byte.
     *
     * @param region of a device, which may not like to be read
     * @param offset the first byte
     * @param length how many
     */
    public static void hexdump(Region region, long offset, int length) {
        Hexdump.of(region, offset, length).forEach(line -> print("%s", line));
    }

    /**
     * Prints the registers of a vCPU of x86-64.
     *
     * @param vcpu one that is not in the guest
     */
    public static void regs(Vcpu vcpu) {
        Registers.of(vcpu).forEach(line -> print("%s", line));
    }

    private static void print(String format, Object... values) {
        System.out.println(Visible.of(String.format(Locale.ROOT, format, values)).stripTrailing());
    }

    private static synchronized <H extends Handle> H keep(H handle) {
        OPENED.push(handle);
        return handle;
    }

    /** Detaches every device and closes everything that was opened here. The host stays. */
    public static synchronized void detach() {
        RuntimeException first = null;
        if (kvm != null) {
            OPENED.push(kvm);
        }
        while (!OPENED.isEmpty()) {
            try {
                OPENED.pop().close();
            } catch (RuntimeException failure) {
                if (first == null) {
                    first = failure;
                } else {
                    first.addSuppressed(failure);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }

    /** Closes everything, and the mock too, which throws when something of it was left open. */
    static synchronized void close() {
        detach();
        Kernel last = host;
        host = null;
        if (last instanceof MockKernel mock) {
            mock.close();
        }
    }

    /** Says what can be typed here. */
    public static void help() {
        System.out.println("""
                devices()                    the host's PCI devices, a list; doctor() says what the host lacks
                bind("eth1")                 gives one to vfio-pci, unless it is in use; unbind("vfio0") gives it back
                attach("0000:6a:01.0")       attaches one to a new VM; attach(name, memory(4 << 20)) gives it memory
                  config(it), regions(it)    its configuration space, its regions
                  hexdump(it.device().region(Region.BAR0), 0, 64)
                  it.close()                 detaches it; detach() detaches all
                kvm()                        /dev/kvm; kvm().createVm() is a VM; regs(vcpu) prints registers
                memory(64 << 20), eventFd()  closed when the shell ends
                mock()                       changes to a modelled host, where everything can be tried
                Ctrl-C                       ends a guest or a wait; /exit undoes all and ends the shell""");
    }
}
