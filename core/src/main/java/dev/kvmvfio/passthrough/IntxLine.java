package dev.kvmvfio.passthrough;

import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.VfioDevice;

/**
 * A device's INTx as a line of the guest. The device raises it, VFIO masks it and signals an eventfd, KVM interrupts the
 * guest; when the guest is done, KVM signals another eventfd, and VFIO unmasks it. All of that happens in the kernel.
 *
 * <p>It belongs to the VM and to the device. Closing it disables INTx, then takes the irqfd from KVM, then closes the
 * eventfds. While it is open, nobody else may enable, disable, mask or unmask the device's INTx.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class IntxLine extends Handle {
    private final Interrupt intx;
    private final int gsi;

    private IntxLine(Interrupt intx, int gsi) {
        this.intx = intx;
        this.gsi = gsi;
    }

    /**
     * Connects the interrupt line of a device to a guest. It makes two eventfds, then {@code KVM_IRQFD} with
     * {@code KVM_IRQFD_FLAG_RESAMPLE}, then {@code VFIO_DEVICE_SET_IRQS} for the trigger and for unmasking. A line that
     * the device holds already is noticed. When a step fails, all before it are undone.
     *
     * @param vm the guest's VM, after {@link Vm#createIrqchip}
     * @param device the device
     * @param gsi the global system interrupt that the guest finds in the device's interrupt line register
     * @return the connection
     * @throws IllegalArgumentException when the device has no INTx
     * @throws IllegalStateException when INTx is enabled already
     * @throws KernelException when the kernel refuses a step; the message says what to do
     */
    public static IntxLine connect(Vm vm, VfioDevice device, int gsi) {
        Interrupt intx = Connections.available(device.interrupt(Interrupt.INTX), 1);
        IntxLine line = Lifecycle.complete(new IntxLine(intx, gsi), self -> self.connect(vm));
        return Lifecycle.adopt(line, device, vm);
    }

    private void connect(Vm vm) {
        EventFd trigger = Lifecycle.adopt(EventFd.create(vm.fd().kernel()), this);
        EventFd resample = Lifecycle.adopt(EventFd.create(vm.fd().kernel()), this);
        Lifecycle.adopt(vm.addIrqFd(trigger, gsi, resample), this);
        intx.enable(trigger);
        intx.unmaskOn(resample);
        lookAtTheLine();
    }

    /** An interrupt controller may miss a line that was high before it was told to look: QEMU's IO-APIC does. */
    private void lookAtTheLine() {
        intx.mask();
        intx.unmask();
    }

    /**
     * Which interrupt the guest gets.
     *
     * @return the global system interrupt
     */
    public int gsi() {
        return gsi;
    }

    /** The device stops first, so that no signal is on its way to an irqfd that is gone. */
    @Override
    protected void quiesce() {
        Connections.disable(intx);
    }

    @Override
    protected void release() {
        // The eventfds and the irqfd are children.
    }

    @Override
    public String toString() {
        return "INTx of " + intx.device() + " to GSI " + gsi;
    }
}
