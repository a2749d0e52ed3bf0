package dev.kvmvfio.vfio;

import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kvm.Vm;
import java.util.List;

/**
 * A device's INTx as a line of the guest. The device raises it, VFIO masks it and signals an eventfd, KVM interrupts the
 * guest; when the guest is done, KVM signals another eventfd, and VFIO unmasks it. All of that happens in the kernel.
 * {@link GuestDevice#connectIntx} makes one.
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
        super(Rank.USE);
        this.intx = intx;
        this.gsi = gsi;
    }

    static IntxLine connect(GuestDevice device, int gsi) {
        Interrupt intx = device.interrupt(Interrupt.INTX).requireFree(1);
        return Lifecycle.complete(Lifecycle.adopt(new IntxLine(intx, gsi), device, device.vm()),
                line -> line.connect(device.vm()));
    }

    private void connect(Vm vm) {
        EventFd trigger = Lifecycle.adopt(EventFd.create(vm.fd().kernel()), this);
        EventFd resample = Lifecycle.adopt(EventFd.create(vm.fd().kernel()), this);
        Lifecycle.adopt(vm.interrupts().addIrqFd(trigger, gsi, resample), this);
        // A close waits for the rest, so that the device is not asked to unmask what is disabled already.
        Lifecycle.lease(intx.enableFor(this, List.of(trigger)), () -> {
            intx.unmaskOn(resample);
            lookAtTheLine();
            return this;
        });
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
    protected boolean quiesce() {
        return Interrupt.disableAllOf(this);
    }

    @Override
    public String toString() {
        return "INTx of " + intx.device() + " to GSI " + gsi;
    }
}
