package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.IrqFd;
import dev.kvmvfio.kvm.MsiRoute;
import dev.kvmvfio.kvm.Vm;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
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
        super(Rank.USE);
        this.vm = vm;
        this.interrupt = interrupt;
    }

    static MsiVectors connect(GuestDevice device, Interrupt interrupt, int vectors) {
        Vm vm = device.vm();
        vm.interrupts().routes();
        interrupt.requireFree(vectors);
        return Lifecycle.complete(Lifecycle.adopt(new MsiVectors(vm, interrupt), device, vm),
                connected -> connected.connect(vectors));
    }

    private void connect(int count) {
        for (int i = 0; i < count; i++) {
            vectors.add(new Vector(Lifecycle.adopt(EventFd.create(vm.fd().kernel()), this)));
        }
        interrupt.enableFor(this, vectors.stream().map(vector -> vector.eventFd).toList());
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
     * @throws ClosedException when this is closed
     */
    public void program(int vector, long address, int data) {
        changeVector(vector, chosen -> chosen.program(address, data));
    }

    /**
     * Keeps a vector from the guest. When this returns, no more of its interrupts arrive; they wait.
     *
     * @param vector 0 to {@link #count} - 1
     * @throws KernelException when the kernel refuses
     * @throws IndexOutOfBoundsException when there is no such vector
     * @throws ClosedException when this is closed
     */
    public void mask(int vector) {
        changeVector(vector, Vector::mask);
    }

    /**
     * Lets a vector through again, and first the interrupt that waits. Without a message it still has to wait for one.
     *
     * @param vector 0 to {@link #count} - 1
     * @throws KernelException when the kernel refuses; the vector stays masked
     * @throws IndexOutOfBoundsException when there is no such vector
     * @throws ClosedException when this is closed
     */
    public void unmask(int vector) {
        changeVector(vector, Vector::unmask);
    }

    /**
     * Whether an interrupt waits for a vector that is masked or not programmed: its pending bit.
     *
     * @param vector 0 to {@link #count} - 1
     * @return false for a vector that reaches the guest
     * @throws IndexOutOfBoundsException when there is no such vector
     * @throws ClosedException when this is closed
     */
    public boolean isPending(int vector) {
        return Lifecycle.lease(this, vectors.get(vector)::isPending);
    }

    /** The device stops first, so that no signal is on its way to an irqfd that is gone. */
    @Override
    protected boolean quiesce() {
        return Interrupt.disableAllOf(this);
    }

    /** A close waits for what changes a vector, which waits for no other close. */
    private void changeVector(int index, Consumer<Vector> change) {
        Vector vector = vectors.get(index);
        Lifecycle.lease(this, () -> {
            synchronized (vector) {
                change.accept(vector);
            }
            return vector;
        });
    }

    @Override
    public String toString() {
        return interrupt.name() + " of " + interrupt.device() + ", " + vectors.size() + " to " + vm;
    }

    /** One vector, whose lock is held by whoever changes it. */
    private final class Vector {
        private final EventFd eventFd;
        private @Nullable MsiRoute route;
        private @Nullable IrqFd irqFd;
        private boolean masked;

        Vector(EventFd eventFd) {
            this.eventFd = eventFd;
        }

        void program(long address, int data) {
            if (route != null) {
                route.setMessage(address, data);
                return;
            }
            MsiRoute added = Lifecycle.adopt(vm.interrupts().routes().addMsi(address, data), MsiVectors.this);
            if (!masked) {
                Lifecycle.complete(added, _ -> connectTo(added));
            }
            route = added;
        }

        private void connectTo(MsiRoute target) {
            disconnect();
            irqFd = Lifecycle.adopt(vm.interrupts().addIrqFd(eventFd, target.gsi()), MsiVectors.this);
        }

        void mask() {
            masked = true;
            disconnect();
        }

        /** One that the kernel refused to take back is tried again the next time. */
        private void disconnect() {
            if (irqFd != null) {
                irqFd.close();
                irqFd = null;
            }
        }

        void unmask() {
            if (masked && route != null) {
                connectTo(route);
            }
            masked = false;
        }

        synchronized boolean isPending() {
            return irqFd == null && eventFd.fd().poll(system_h.POLLIN(), 0) > 0;
        }
    }
}
