package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing_entry;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing_irqchip;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Where each of a virtual machine's global system interrupts (GSI) goes. */
final class InterruptRoutes {
    static final int MOST_ROUTES = 4096;
    private static final int PIC_PINS = 8;
    private static final int ISA_INTERRUPTS = 16;

    private final Map<Integer, List<Route>> routes = new HashMap<>();
    private final boolean split;

    /** No routes; {@code split} when the interrupt chips are not the kernel's. */
    InterruptRoutes(boolean split) {
        this.split = split;
    }

    /** A way of one interrupt: to an interrupt chip, or as a message. */
    private record Route(int type, int chip) {
        private boolean excludes(Route other) {
            return type != kvm_h.KVM_IRQ_ROUTING_IRQCHIP() || other.type != type || other.chip == chip;
        }
    }

    /** The routes that a VM has when its interrupt chips are made. */
    static InterruptRoutes standard() {
        InterruptRoutes standard = new InterruptRoutes(false);
        for (int gsi = 0; gsi < kvm_x86_64_h.KVM_IOAPIC_NUM_PINS(); gsi++) {
            if (gsi < ISA_INTERRUPTS) {
                standard.addChip(gsi, gsi < PIC_PINS
                        ? kvm_x86_64_h.KVM_IRQCHIP_PIC_MASTER()
                        : kvm_x86_64_h.KVM_IRQCHIP_PIC_SLAVE());
            }
            standard.addChip(gsi, kvm_x86_64_h.KVM_IRQCHIP_IOAPIC());
        }
        return standard;
    }

    private void addChip(int gsi, int chip) {
        of(gsi).add(new Route(kvm_h.KVM_IRQ_ROUTING_IRQCHIP(), chip));
    }

    private List<Route> of(int gsi) {
        return routes.computeIfAbsent(gsi, _ -> new ArrayList<>());
    }

    boolean leadSomewhere(int gsi) {
        return routes.containsKey(gsi);
    }

    /** Whether an interrupt is a message, which has no line that could stay raised. */
    boolean isMessage(int gsi) {
        return leadSomewhere(gsi) && of(gsi).getFirst().type == kvm_h.KVM_IRQ_ROUTING_MSI();
    }

    /** Adds the routes of an array of {@code struct kvm_irq_routing_entry}. */
    void addAll(MemorySegment entries, int count) {
        for (int i = 0; i < count; i++) {
            int gsi = kvm_irq_routing_entry.gsi(kvm_irq_routing_entry.asSlice(entries, i));
            Refusal.when(Integer.compareUnsigned(gsi, MOST_ROUTES) >= 0, EINVAL);
        }
        for (int i = 0; i < count; i++) {
            add(kvm_irq_routing_entry.asSlice(entries, i));
        }
    }

    private void add(MemorySegment entry) {
        int type = kvm_irq_routing_entry.type(entry);
        int validFlags = type == kvm_h.KVM_IRQ_ROUTING_MSI() ? kvm_h.KVM_MSI_VALID_DEVID() : 0;
        Refusal.when((kvm_irq_routing_entry.flags(entry) & ~validFlags) != 0, EINVAL);
        MemorySegment chip = kvm_irq_routing_entry.u.irqchip(kvm_irq_routing_entry.u(entry));
        Route route = new Route(type, kvm_irq_routing_irqchip.irqchip(chip));
        List<Route> others = of(kvm_irq_routing_entry.gsi(entry));
        Refusal.when(others.stream().anyMatch(route::excludes), EINVAL);
        if (type == kvm_h.KVM_IRQ_ROUTING_IRQCHIP()) {
            Refusal.when(split || !isPin(route.chip, kvm_irq_routing_irqchip.pin(chip)), EINVAL);
        } else if (type == kvm_h.KVM_IRQ_ROUTING_HV_SINT() || type == kvm_h.KVM_IRQ_ROUTING_XEN_EVTCHN()) {
            throw new NotModelledException("an interrupt route of type " + type);
        } else {
            Refusal.when(type != kvm_h.KVM_IRQ_ROUTING_MSI(), EINVAL);
        }
        others.add(route);
    }

    private static boolean isPin(int chip, int pin) {
        int pins = 0;
        if (chip == kvm_x86_64_h.KVM_IRQCHIP_IOAPIC()) {
            pins = kvm_x86_64_h.KVM_IOAPIC_NUM_PINS();
        } else if (chip == kvm_x86_64_h.KVM_IRQCHIP_PIC_MASTER() || chip == kvm_x86_64_h.KVM_IRQCHIP_PIC_SLAVE()) {
            pins = PIC_PINS;
        }
        return Integer.compareUnsigned(pin, pins) < 0;
    }
}
