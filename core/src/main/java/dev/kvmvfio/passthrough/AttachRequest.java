package dev.kvmvfio.passthrough;

import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.KvmVfioDevice;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Which device is to be attached, and how: made by {@link AttachedDevice#request}, completed by its own methods, and
 * carried out by {@code attach}.
 *
 * <p><b>Thread-safety:</b> none; a request is for one thread.
 */
public final class AttachRequest {
    private final PciDevice device;
    private Optional<VfioInterface> forced = Optional.empty();
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
        forced = Optional.of(choice);
        return this;
    }

    /**
     * Watches the steps, those that are taken back included.
     *
     * @param watcher is told of each step on the thread that did it: when it was done, or, of one that was taken back, when
     *        the close that took it back is over. What it throws while the device is being attached ends that like a step
     *        that failed; what it throws later comes out of the close
     * @return this
     */
    public AttachRequest watch(Consumer<Step> watcher) {
        listener = watcher;
        return this;
    }

    /**
     * Attaches the device to a VM that has no KVM-VFIO device yet, and gives it the guest's whole memory, with what is
     * added to it later: all steps, or none of them.
     *
     * @param memory the memory of the VM
     * @return the attached device, which belongs to the VM
     * @throws IllegalArgumentException when the device is of another kernel
     * @throws HostException when the host is not ready for it; the message says what to do
     * @throws KernelException when the kernel refuses a step; all steps before it were undone
     * @throws AnswerException when the kernel answers what cannot be; all steps were undone
     */
    public AttachedDevice attach(GuestMemory memory) {
        return AttachedDevice.attach(this, memory.vm(), Optional.empty(), Optional.of(memory));
    }

    /**
     * Attaches the device without any memory that it could reach.
     *
     * @param vm a VM that has no KVM-VFIO device yet
     * @return as {@link #attach(GuestMemory)}
     * @throws IllegalArgumentException when the device is of another kernel
     * @throws HostException when the host is not ready for it; the message says what to do
     * @throws KernelException when the kernel refuses a step; all steps before it were undone
     * @throws AnswerException when the kernel answers what cannot be; all steps were undone
     */
    public AttachedDevice attach(Vm vm) {
        return AttachedDevice.attach(this, vm, Optional.empty(), Optional.empty());
    }

    /**
     * Attaches one more device to a VM, through the KVM-VFIO device that it has.
     *
     * @param memory the memory of the VM
     * @param kvmVfio the VM's KVM-VFIO device, which stays when this device is detached
     * @return the attached device, which belongs to the VM; closing the KVM-VFIO device closes it as well
     * @throws IllegalArgumentException when the two are of different VMs, or the device is of another kernel
     * @throws HostException when the host is not ready for it; the message says what to do
     * @throws KernelException when the kernel refuses a step; all steps before it were undone
     * @throws AnswerException when the kernel answers what cannot be; all steps were undone
     */
    public AttachedDevice attach(GuestMemory memory, KvmVfioDevice kvmVfio) {
        if (memory.vm() != kvmVfio.vm()) {
            throw new IllegalArgumentException(memory + " and " + kvmVfio + " of " + kvmVfio.vm() + " are of two VMs");
        }
        return AttachedDevice.attach(this, memory.vm(), Optional.of(kvmVfio), Optional.of(memory));
    }

    /**
     * Attaches one more device to a VM, without any memory that it could reach.
     *
     * @param kvmVfio the VM's KVM-VFIO device, which stays when this device is detached
     * @return the attached device, which belongs to the VM; closing the KVM-VFIO device closes it as well
     * @throws IllegalArgumentException when the device is of another kernel
     * @throws HostException when the host is not ready for it; the message says what to do
     * @throws KernelException when the kernel refuses a step; all steps before it were undone
     * @throws AnswerException when the kernel answers what cannot be; all steps were undone
     */
    public AttachedDevice attach(KvmVfioDevice kvmVfio) {
        return AttachedDevice.attach(this, kvmVfio.vm(), Optional.of(kvmVfio), Optional.empty());
    }

    /**
     * Decides which interface the device will be attached by, after a check that a VFIO driver has it.
     *
     * @return the forced interface, or what {@link InterfaceChoice#auto} chooses
     * @throws HostException when the host is not ready for it; the message says what to do
     */
    public InterfaceChoice choice() {
        device.requireVfioDriver();
        return forced.map(choice -> new InterfaceChoice(choice, "as asked for"))
                .orElseGet(() -> InterfaceChoice.auto(device));
    }

    PciDevice device() {
        return device;
    }

    Consumer<Step> listener() {
        return listener;
    }
}
