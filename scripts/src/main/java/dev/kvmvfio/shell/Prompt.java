package dev.kvmvfio.shell;

import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.AttachRequest;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Function;

/**
 * What can be typed at the prompt besides the library's own types. It all concerns one host at a time, the running
 * Linux until {@link #mock()}, and it is given back when the shell ends.
 */
public final class Prompt {
    private static final Deque<Handle> OPENED = new ArrayDeque<>();
    private static Kernel host;
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
        }
        return host;
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
     * @param address such as {@code 0000:6a:01.0}
     * @return the attachment; {@code device()} is the device; {@code close()} detaches it
     */
    public static AttachedDevice attach(String address) {
        return inNewVm(request(address)::attach);
    }

    /**
     * Attaches a device to a new VM.
     *
     * @param address such as {@code 0000:6a:01.0}
     * @param by the cdev or the group
     * @return as {@link #attach(String)}
     */
    public static AttachedDevice attach(String address, VfioInterface by) {
        return inNewVm(request(address).via(by)::attach);
    }

    /**
     * Attaches a device to a new VM that has memory.
     *
     * @param address such as {@code 0000:6a:01.0}
     * @param memory the guest's memory from address 0, which the device reaches at the same addresses
     * @return as {@link #attach(String)}
     */
    public static AttachedDevice attach(String address, HostMemory memory) {
        AttachRequest request = request(address);
        return inNewVm(vm -> request.attach(GuestMemory.create(vm, 0, memory)));
    }

    private static AttachRequest request(String address) {
        return AttachedDevice.request(kernel(), PciAddress.parse(address));
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
                devices()                    the host's PCI devices, and which can be attached
                attach("0000:6a:01.0")       attaches one to a new VM; attach(address, memory(4 << 20)) gives it memory
                  .device().regions()        its regions; .configSpace() its configuration space, decoded
                  .close()                   detaches it; detach() detaches all
                kvm()                        /dev/kvm; kvm().createVm() is a VM
                mock()                       goes over to a modelled host, where everything can be tried
                /exit                        undoes all and ends""");
    }
}
