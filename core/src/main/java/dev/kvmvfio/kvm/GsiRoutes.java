package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing_entry;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing_irqchip;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing_msi;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.PinRoute;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.x86.X86Vm;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Where each of a VM's global system interrupts (GSI) goes: the kernel's table is always what this one says.
 *
 * <p>On x86-64, with {@link VmInterrupts#createIrqchip} the GSIs 0 to 23 go to the pins of the IO-APIC, and 0 to 15 to the PIC as well. With
 * {@link X86Vm#createSplitIrqchip} the first GSIs are the pins of the program's own IO-APIC, which it routes with
 * {@link #addMsiForPin}. All others are for messages: {@link #addMsi} takes the lowest that is free.
 *
 * {@snippet :
 * try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm(); EventFd eventFd = EventFd.create(Kernel.linux())) {
 *     VmInterrupts interrupts = vm.interrupts();
 *     interrupts.createIrqchip();
 *     MsiRoute route = interrupts.routes().addMsi(0xfee0_0000L, 0x41);     // vector 0x41 of the vCPU with APIC id 0
 *     interrupts.addIrqFd(eventFd, route.gsi());
 *     route.setMessage(0xfee0_1000L, 0x41);                                // now of the one with APIC id 1
 * }
 * }
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread, also while interrupts arrive.
 */
public final class GsiRoutes {
    private static final Ioctl SET_GSI_ROUTING = new Ioctl("KVM_SET_GSI_ROUTING", kvm_h.KVM_SET_GSI_ROUTING());

    private final Vm vm;
    /** Held over the calls that set the table. */
    private final ReentrantLock setting = new ReentrantLock();
    private final SortedMap<Integer, MsiRoute> messages = new ConcurrentSkipListMap<>();
    private volatile List<PinRoute> chipRoutes = List.of();
    private volatile int pins;
    private volatile int limit;

    GsiRoutes(Vm vm) {
        this.vm = vm;
    }

    /** The kernel now has its own chips, and routes to all their pins. */
    void start(List<PinRoute> routes) {
        start(1 + routes.stream().mapToInt(PinRoute::gsi).max().orElseThrow());
        chipRoutes = routes;
    }

    /** The kernel now has interrupt controllers, and no route yet; the first GSIs are pins of the program's own. */
    void start(int ownPins) {
        pins = ownPins;
        limit = vm.checkExtension(kvm_h.KVM_CAP_IRQ_ROUTING());
    }

    boolean isStarted() {
        return limit > 0;
    }

    /**
     * {@code KVM_SET_GSI_ROUTING}: adds a message.
     *
     * @param address where the message goes, as the guest programs it into a device
     * @param data what the message says
     * @return its route, which belongs to the VM
     * @throws HostException when the table is full ({@code KVM_CAP_IRQ_ROUTING})
     * @throws KernelException when the kernel refuses; nothing is added
     */
    public MsiRoute addMsi(long address, int data) {
        return Lifecycle.lease(vm, () -> whileSetting(() -> add(null, new MsiRoute.Message(address, data))));
    }

    /**
     * {@code KVM_SET_GSI_ROUTING}: adds the message of a pin, of the IO-APIC that the program models beside a split
     * irqchip. The GSI is the pin. When the guest is done with a level-triggered one, {@code KVM_RUN} says so.
     *
     * @param pin 0 to the number that {@link X86Vm#createSplitIrqchip} was given, less one
     * @param address where its message goes
     * @param data what its message says
     * @return its route, which belongs to the VM
     * @throws IllegalArgumentException when there is no such pin
     * @throws IllegalStateException when the pin has a route already, or the IO-APIC is the kernel's
     * @throws KernelException when the kernel refuses; nothing is added
     */
    public MsiRoute addMsiForPin(int pin, long address, int data) {
        return Lifecycle.lease(vm, () -> whileSetting(() -> add(pin, new MsiRoute.Message(address, data))));
    }

    private <T> T whileSetting(Supplier<T> change) {
        setting.lock();
        try {
            return change.get();
        } finally {
            setting.unlock();
        }
    }

    private MsiRoute add(@Nullable Integer pin, MsiRoute.Message message) {
        int gsi = pin == null ? freeGsi() : checked(pin);
        MsiRoute added = new MsiRoute(this, gsi, message);
        return Lifecycle.make(added, () -> assign(added), vm);
    }

    private void assign(MsiRoute added) {
        messages.put(added.gsi(), added);
        try {
            set(added);
        } catch (Throwable failure) {
            messages.remove(added.gsi());
            throw failure;
        }
    }

    private int freeGsi() {
        int gsi = pins;
        while (messages.containsKey(gsi)) {
            gsi++;
        }
        if (gsi >= limit || chipRoutes.size() + messages.size() >= limit) {
            throw new HostException(
                    "all " + limit + " interrupt routes of " + vm + " are taken (KVM_CAP_IRQ_ROUTING)",
                    "Close routes that are not needed, or give the guest's devices fewer vectors");
        }
        return gsi;
    }

    private int checked(int pin) {
        if (!chipRoutes.isEmpty()) {
            throw new IllegalStateException("the IO-APIC of " + vm + " is the kernel's, which routes its pins");
        }
        if (pin < 0 || pin >= pins) {
            throw new IllegalArgumentException("pin " + pin + " is beyond the " + pins + " of createSplitIrqchip");
        }
        if (messages.containsKey(pin)) {
            throw new IllegalStateException("pin " + pin + " of " + vm + " has a route already: " + messages.get(pin));
        }
        return pin;
    }

    void update(MsiRoute route, MsiRoute.Message changed) {
        Lifecycle.lease(route, () -> whileSetting(() -> replace(route, changed)));
    }

    private MsiRoute replace(MsiRoute route, MsiRoute.Message changed) {
        MsiRoute.Message before = route.message();
        if (!changed.equals(before)) {
            route.setMessage(changed);
            try {
                set(route);
            } catch (Throwable failure) {
                route.setMessage(before);
                throw failure;
            }
        }
        return route;
    }

    /** A VM that is being closed takes its table along. */
    void remove(MsiRoute route) {
        Lifecycle.whileLocked(setting, () -> {
            boolean hadGsi = messages.remove(route.gsi(), route);
            try {
                if (vm.isOpen()) {
                    set(route);
                }
            } catch (Throwable failure) {
                if (hadGsi) {
                    messages.put(route.gsi(), route);
                }
                throw failure;
            }
        });
    }

    Optional<MsiRoute> find(int gsi) {
        return Optional.ofNullable(messages.get(gsi));
    }

    /** The call replaces the whole table, so the chips' pins are in it each time. */
    private void set(MsiRoute changed) {
        int count = chipRoutes.size() + messages.size();
        long header = kvm_irq_routing.entries$offset();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment table = arena.allocate(header + count * kvm_irq_routing_entry.sizeof(), Long.BYTES);
            kvm_irq_routing.nr(table, count);
            Entries entries = new Entries(table.asSlice(header));
            chipRoutes.forEach(entries::addPin);
            messages.values().forEach(entries::addMessage);
            int result = vm.fd().ioctl(SET_GSI_ROUTING, table);
            if (result < 0) {
                throw new KernelException(SET_GSI_ROUTING.name(), vm.fd(), "nr=" + count + ", " + changed, result, "");
            }
        }
    }

    /** Fills an array of {@code struct kvm_irq_routing_entry}. */
    private static final class Entries {
        private final MemorySegment array;
        private int count;

        Entries(MemorySegment array) {
            this.array = array;
        }

        void addPin(PinRoute route) {
            MemorySegment entry = next(route.gsi(), kvm_h.KVM_IRQ_ROUTING_IRQCHIP());
            MemorySegment target = kvm_irq_routing_entry.u.irqchip(kvm_irq_routing_entry.u(entry));
            kvm_irq_routing_irqchip.irqchip(target, route.irqchip());
            kvm_irq_routing_irqchip.pin(target, route.pin());
        }

        void addMessage(MsiRoute route) {
            MemorySegment entry = next(route.gsi(), kvm_h.KVM_IRQ_ROUTING_MSI());
            MemorySegment target = kvm_irq_routing_entry.u.msi(kvm_irq_routing_entry.u(entry));
            kvm_irq_routing_msi.address_lo(target, (int) route.address());
            kvm_irq_routing_msi.address_hi(target, (int) (route.address() >>> Integer.SIZE));
            kvm_irq_routing_msi.data(target, route.data());
        }

        private MemorySegment next(int gsi, int type) {
            MemorySegment entry = kvm_irq_routing_entry.asSlice(array, count++);
            kvm_irq_routing_entry.gsi(entry, gsi);
            kvm_irq_routing_entry.type(entry, type);
            return entry;
        }
    }
}
