package dev.kvmvfio.vfio;

import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Vm;
import java.util.NoSuchElementException;

/**
 * An open device of which a VM knows, because it was opened through a registration. What the guest gets of it leads to
 * that VM and to no other: its BARs as memory slots, its interrupts as interrupts of the guest.
 *
 * {@snippet :
 * try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm()) {
 *     vm.interrupts().createIrqchip();            // before the first vCPU
 *     GuestDevice device = AttachedDevice.request("0000:6a:01.0").attach(vm).device();
 *     device.mapBar(0).place(0xe000_0000L);
 *     IntxLine line = device.connectIntx(11);     // GSI 11
 *     line.close();                               // the guest chose MSI-X
 *     MsiVectors vectors = device.connectMsix(16);
 * }
 * }
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public sealed class GuestDevice extends VfioDevice permits BoundGuestDevice {
    private final Registration<?> registration;

    GuestDevice(FileDescriptor fd, Registration<?> registration) {
        super(fd);
        this.registration = registration;
    }

    /**
     * The VM that knows of it.
     *
     * @return that of its registration
     */
    public final Vm vm() {
        return registration.kvmVfio().vm();
    }

    /**
     * Maps what of a BAR can be mapped into this process, to give it to the guest. The guest sees nothing of it before
     * {@link GuestBar#place}.
     *
     * @param bar 0 to 5; of a 64-bit BAR the lower half
     * @return the BAR, which belongs to this device and to its VM
     * @throws IllegalArgumentException when that is no BAR, or the device does not use it
     * @throws NoSuchElementException when the device has no region of that number
     * @throws KernelException when the kernel refuses
     */
    public final GuestBar mapBar(int bar) {
        return GuestBar.map(this, bar);
    }

    /**
     * Connects the interrupt line to the guest: two eventfds, then {@code KVM_IRQFD} with
     * {@code KVM_IRQFD_FLAG_RESAMPLE}, then {@code VFIO_DEVICE_SET_IRQS} for the trigger and for unmasking. A line that
     * the device holds already is noticed. When a step fails, all before it are undone.
     *
     * @param gsi the global system interrupt that the guest finds in the device's interrupt line register
     * @return the connection, which belongs to this device and to its VM
     * @throws IllegalArgumentException when the device has no INTx
     * @throws IllegalStateException when INTx is enabled already
     * @throws KernelException when the kernel refuses a step, also because the VM has no irqchip; the message says what to
     *         do
     */
    public final IntxLine connectIntx(int gsi) {
        return IntxLine.connect(this, gsi);
    }

    /**
     * Connects the first vectors of MSI to the guest, with one {@code VFIO_DEVICE_SET_IRQS} for all of them. When a step
     * fails, all before it are undone.
     *
     * @param vectors how many the guest enabled, at least 1
     * @return the connection, with no vector programmed, which belongs to this device and to its VM
     * @throws IllegalArgumentException when the device has fewer vectors
     * @throws IllegalStateException when MSI is enabled already, or the VM has no irqchip
     * @throws NoSuchElementException when the device has no MSI at all
     * @throws HostException when the host has too few interrupts left for so many vectors
     * @throws KernelException when the kernel refuses a step; the message says what to do
     */
    public final MsiVectors connectMsi(int vectors) {
        return MsiVectors.connect(this, interrupt(Interrupt.MSI), vectors);
    }

    /**
     * Connects the first vectors of MSI-X to the guest, with one {@code VFIO_DEVICE_SET_IRQS} for all of them. When a
     * step fails, all before it are undone.
     *
     * @param vectors how many, at least 1; usually as many as the table has
     * @return as {@link #connectMsi}
     * @throws IllegalArgumentException when the device has fewer vectors
     * @throws IllegalStateException when MSI-X is enabled already, or the VM has no irqchip
     * @throws NoSuchElementException when the device has no MSI-X at all
     * @throws HostException when the host has too few interrupts left for so many vectors
     * @throws KernelException when the kernel refuses a step; the message says what to do
     */
    public final MsiVectors connectMsix(int vectors) {
        return MsiVectors.connect(this, interrupt(Interrupt.MSIX), vectors);
    }

    @Override
    final boolean unregister() {
        return registration.deviceCloses();
    }
}
