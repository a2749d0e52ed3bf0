package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.internal.Failures;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.IrqFd;
import dev.kvmvfio.kvm.MsiRoute;
import dev.kvmvfio.kvm.Vm;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The MSI or MSI-X vectors of a device as interrupts of the guest. The device's interrupt signals an eventfd, and the
 * eventfd becomes the message that the guest programmed, all in the kernel. {@link GuestDevice#connectMsi} and
 * {@link GuestDevice#connectMsix} make them.
 *
 * <p>A vector reaches the guest when it is programmed and not masked. Until then its interrupts wait in its eventfd, and
 * come as one when it is programmed or unmasked, as the PCI specification wants it. Vectors begin without a message and
 * unmasked; MSI-X vectors that the guest left masked are the program's to {@link #mask}.
 *
 * {@snippet :
 * try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm()) {
 *     vm.interrupts().createIrqchip();
 *     GuestDevice device = AttachedDevice.request("0000:6a:01.0").attach(vm).device();
 *     MsiVectors vectors = device.connectMsix(16);
 *     vectors.program(3, 0xfee0_0000L, 0x41);     // the guest writes an entry of the MSI-X table
 *     vectors.mask(3);                            // it sets the entry's mask bit
 *     vectors.program(3, 0xfee0_1000L, 0x52);
 *     vectors.unmask(3);
 *     vectors.close();                            // it disables MSI-X
 * }
 * }
 *
 * <p>It belongs to the VM and to the device. Closing it disables the interrupt, then takes irqfds and routes from KVM,
 * then closes the eventfds. While it is open, nobody else may enable or disable the device's interrupt.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread, also while interrupts arrive.
 */
public final class MsiVectors extends Handle {
    private final Vm vm;
    private final Interrupt interrupt;
    private final List<Vector> vectors = new ArrayList<>();

    private MsiVectors(Vm vm, Interrupt interrupt) {
        this.vm = vm;
        this.interrupt = interrupt;
    }

    static MsiVectors connect(GuestDevice device, Interrupt interrupt, int vectors) {
        Vm vm = device.vm();
        vm.interrupts().routes();
        interrupt.requireFree(vectors);
        MsiVectors connected = Lifecycle.complete(new MsiVectors(vm, interrupt), self -> self.connect(vectors));
        return Lifecycle.adopt(connected, device, vm);
    }

    private void connect(int count) {
        for (int i = 0; i < count; i++) {
            vectors.add(new Vector(Lifecycle.adopt(EventFd.create(vm.fd().kernel()), this)));
        }
        interrupt.enable(vectors.stream().map(vector -> vector.eventFd).toList());
    }

    /**
     * How many vectors are connected.
     *
     * @return as they were asked for
     */
    public int count() {
        return vectors.size();
    }

    /**
     * Gives a vector the message that the guest programmed, for the first time or anew. Interrupts that waited for it
     * are delivered, unless the vector is masked.
     *
     * @param vector 0 to {@link #count} - 1
     * @param address where the message goes
     * @param data what the message says; of several MSI vectors each has its own, with its number in the lowest bits
     * @throws HostException when the VM's table of routes is full
     * @throws KernelException when the kernel refuses; the vector stays as it was
     * @throws IndexOutOfBoundsException when there is no such vector
     * @throws IllegalStateException when this is closed
     */
    public void program(int vector, long address, int data) {
        vectors.get(vector).program(address, data);
    }

    /**
     * Keeps a vector from the guest. When this returns, no more of its interrupts arrive; they wait.
     *
     * @param vector 0 to {@link #count} - 1
     * @throws KernelException when the kernel refuses
     * @throws IndexOutOfBoundsException when there is no such vector
     */
    public void mask(int vector) {
        vectors.get(vector).mask();
    }

    /**
     * Lets a vector through again, and first the interrupt that waits. Without a message it still has to wait for one.
     *
     * @param vector 0 to {@link #count} - 1
     * @throws KernelException when the kernel refuses; the vector stays masked
     * @throws IndexOutOfBoundsException when there is no such vector
     * @throws IllegalStateException when this is closed
     */
    public void unmask(int vector) {
        vectors.get(vector).unmask();
    }

    /**
     * Whether an interrupt waits for a vector that is masked or not programmed: its pending bit.
     *
     * @param vector 0 to {@link #count} - 1
     * @return false for a vector that reaches the guest
     * @throws IndexOutOfBoundsException when there is no such vector
     * @throws IllegalStateException when this is closed
     */
    public boolean isPending(int vector) {
        return vectors.get(vector).isPending();
    }

    /** The device stops first, so that no signal is on its way to an irqfd that is gone. */
    @Override
    protected void quiesce() {
        interrupt.disableIfEnabled();
    }

    @Override
    protected void release() {
        // The eventfds, the routes and the irqfds are children.
    }

    @Override
    public String toString() {
        return interrupt.name() + " of " + interrupt.device() + ", " + vectors.size() + " to " + vm;
    }

    /** One vector. A close does not wait for its lock, because what it holds the lock for may wait for a close. */
    private final class Vector {
        private final EventFd eventFd;
        private @Nullable MsiRoute route;
        private @Nullable IrqFd irqFd;
        private boolean masked;

        Vector(EventFd eventFd) {
            this.eventFd = eventFd;
        }

        synchronized void program(long address, int data) {
            if (route != null) {
                route.setMessage(address, data);
                return;
            }
            MsiRoute added = Lifecycle.adopt(vm.interrupts().routes().addMsi(address, data), MsiVectors.this);
            if (!masked) {
                irqFd = completeWith(added);
            }
            route = added;
        }

        /** A route of which no irqfd could be made goes again. */
        private IrqFd completeWith(MsiRoute added) {
            try {
                return Lifecycle.adopt(vm.interrupts().addIrqFd(eventFd, added.gsi()), MsiVectors.this);
            } catch (RuntimeException failure) {
                new Failures(failure).attempt(added::close);
                throw failure;
            }
        }

        synchronized void mask() {
            masked = true;
            if (irqFd != null) {
                IrqFd closing = irqFd;
                irqFd = null;
                closing.close();
            }
        }

        synchronized void unmask() {
            if (masked && route != null) {
                irqFd = Lifecycle.adopt(vm.interrupts().addIrqFd(eventFd, route.gsi()), MsiVectors.this);
            }
            masked = false;
        }

        synchronized boolean isPending() {
            return irqFd == null && eventFd.fd().poll(system_h.POLLIN(), 0) > 0;
        }
    }
}
