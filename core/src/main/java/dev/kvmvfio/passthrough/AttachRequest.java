package dev.kvmvfio.passthrough;

import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.KvmVfioDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * What is to be attached, and how: made by {@link Passthrough#of}, completed by its own methods, and carried out by
 * {@link #attach(Vm)}.
 *
 * <p><b>Thread-safety:</b> none; a request is for one thread.
 */
public final class AttachRequest {
    record Memory(long guestPhysicalAddress, HostMemory memory) {
    }

    private final PciDevice device;
    private final List<Memory> memories = new ArrayList<>();
    private GuestMemory guestMemory;
    private VfioInterface forced;
    private Consumer<Step> listener = _ -> {
    };

    AttachRequest(PciDevice device) {
        this.device = device;
    }

    /**
     * Forces an interface; otherwise {@link InterfaceChoice#auto} chooses.
     *
     * @param choice the interface
     * @return this
     */
    public AttachRequest via(VfioInterface choice) {
        forced = choice;
        return this;
    }

    /**
     * Adds guest memory that the device shall reach, at an IOVA that equals the guest-physical address. The VM learns
     * of the memory by {@link Vm#addMemory}, not by this.
     *
     * @param guestPhysicalAddress where the guest sees the memory, in bytes; a multiple of the page size
     * @param memory the memory, which cannot be closed before the device is detached
     * @return this
     */
    public AttachRequest memory(long guestPhysicalAddress, HostMemory memory) {
        memories.add(new Memory(guestPhysicalAddress, memory));
        return this;
    }

    /**
     * Lets the device reach a guest's whole memory, and what is added to it while the device is attached.
     *
     * @param memory the memory of the VM that the device will be attached to
     * @return this
     */
    public AttachRequest memory(GuestMemory memory) {
        guestMemory = memory;
        return this;
    }

    /**
     * Watches the steps, those that are taken back included.
     *
     * @param watcher is told of each step when it was done, on the thread that did it
     * @return this
     */
    public AttachRequest watch(Consumer<Step> watcher) {
        listener = watcher;
        return this;
    }

    /**
     * Attaches the device to a VM that has no KVM-VFIO device yet: all steps, or none of them.
     *
     * @param vm the VM
     * @return the attached device, which belongs to the VM
     * @throws IllegalArgumentException when the guest memory is that of another VM
     * @throws HostException when the host is not ready for it; the message says what to do
     * @throws KernelException when the kernel refuses a step; all steps before it were undone
     */
    public Passthrough attach(Vm vm) {
        if (guestMemory != null && guestMemory.vm() != vm) {
            throw new IllegalArgumentException(guestMemory + " is not that of " + vm);
        }
        return Passthrough.attach(this, vm, null);
    }

    /**
     * Attaches one more device to a VM, through the KVM-VFIO device that it has.
     *
     * @param kvmVfio the VM's KVM-VFIO device, which stays when this device is detached
     * @return the attached device, which belongs to the KVM-VFIO device
     * @throws HostException when the host is not ready for it; the message says what to do
     * @throws KernelException when the kernel refuses a step; all steps before it were undone
     */
    public Passthrough attach(KvmVfioDevice kvmVfio) {
        return Passthrough.attach(this, null, kvmVfio);
    }

    /**
     * Decides which interface the device will be attached by, after a check that a VFIO driver has it.
     *
     * @return the forced interface, or what {@link InterfaceChoice#auto} chooses
     * @throws HostException when the host is not ready for it; the message says what to do
     */
    public InterfaceChoice choice() {
        device.requireVfioDriver();
        return forced == null ? InterfaceChoice.auto(device) : new InterfaceChoice(forced, "as asked for");
    }

    PciDevice device() {
        return device;
    }

    GuestMemory guestMemory() {
        return guestMemory;
    }

    List<Memory> memories() {
        return memories;
    }

    Consumer<Step> listener() {
        return listener;
    }
}
