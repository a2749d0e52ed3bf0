package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EEXIST;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOENT;
import static dev.kvmvfio.kernel.Errno.ENXIO;
import static dev.kvmvfio.kernel.Errno.EPERM;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_irq_level;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing_entry;
import dev.kvmvfio.bindings.kvm.kvm_msi;
import dev.kvmvfio.bindings.kvm.kvm_pit_config;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** A virtual machine's interrupts: which chips the kernel models for it, where each goes, and how often each came. */
public final class InterruptController {
    private static final int DELIVERY_MODE = 0x700;
    private static final int MOST_RESERVED_PINS = 4096;
    private static final Set<Long> PIC_PORTS = Set.of(0x20L, 0x21L, 0xa0L, 0xa1L, 0x4d0L, 0x4d1L);
    private static final Set<Long> PIT_PORTS = Set.of(0x40L, 0x41L, 0x42L, 0x43L);
    private static final long APIC = 0xfee0_0000L;
    private static final long APIC_REGISTERS = 0xfff;
    private static final long IOAPIC = 0xfec0_0000L;
    private static final long IOAPIC_REGISTERS = 0xff;

    private final VirtualMachine vm;
    private final Set<Integer> raised = new HashSet<>();
    private final Map<Integer, Long> counts = new HashMap<>();
    private long arrived;
    private InterruptRoutes routes;
    private boolean split;
    private boolean pit;

    InterruptController(VirtualMachine vm) {
        this.vm = vm;
    }

    /** Whether the kernel models at least the local APICs. */
    boolean exists() {
        return routes != null;
    }

    /** Whether the kernel models the PIC and the IO-APIC too. */
    boolean hasChips() {
        return exists() && !split;
    }

    long create() {
        Refusal.when(exists(), EEXIST);
        Refusal.when(vm.hasVcpus(), EINVAL);
        routes = InterruptRoutes.standard();
        return 0;
    }

    long createSplit(long reservedPins) {
        Refusal.when(Long.compareUnsigned(reservedPins, MOST_RESERVED_PINS) > 0, EINVAL);
        Refusal.when(exists() || vm.hasVcpus(), EEXIST);
        split = true;
        routes = new InterruptRoutes(true);
        return 0;
    }

    long createPit(Argument argument) {
        argument.read(0, kvm_pit_config.sizeof());
        Refusal.when(pit, EEXIST);
        Refusal.when(!hasChips() && vm.machine().isAtLeast(KernelProfile.V6_12), ENOENT);
        pit = true;
        return 0;
    }

    /** Whether what a guest does at an address is for one of the chips. */
    public boolean hasRegister(boolean port, long address) {
        if (port) {
            return hasChips() && PIC_PORTS.contains(address) || pit && PIT_PORTS.contains(address);
        }
        return exists() && (address & ~APIC_REGISTERS) == APIC || hasChips() && (address & ~IOAPIC_REGISTERS) == IOAPIC;
    }

    long setRoutes(Argument argument) {
        MemorySegment header = argument.read(0, kvm_irq_routing.entries$offset());
        Refusal.when(!exists(), EINVAL);
        int count = kvm_irq_routing.nr(header);
        int flags = kvm_irq_routing.flags(header);
        Refusal.when(Integer.compareUnsigned(count, InterruptRoutes.MOST_ROUTES) > 0 || flags != 0, EINVAL);
        InterruptRoutes table = new InterruptRoutes(split);
        table.addAll(argument.read(kvm_irq_routing.entries$offset(), count * kvm_irq_routing_entry.sizeof()), count);
        routes = table;
        return 0;
    }

    void line(MemorySegment level) {
        Refusal.when(!exists(), ENXIO);
        set(kvm_irq_level.irq(level), kvm_irq_level.level(level) != 0);
    }

    /** Raises or lowers an interrupt's line. It counts when it goes up, and a message counts each time. */
    void set(int gsi, boolean high) {
        if (!high) {
            raised.remove(gsi);
        } else if (routes.leadSomewhere(gsi) && (raised.add(gsi) || routes.isMessage(gsi))) {
            counts.merge(gsi, 1L, Long::sum);
            arrives();
        }
    }

    boolean isRaised(int gsi) {
        return raised.contains(gsi);
    }

    private void arrives() {
        arrived++;
        vm.machine().changed();
    }

    /** How many interrupts of any kind came. */
    long arrived() {
        return arrived;
    }

    /** How many interrupts the guest got. */
    public long count(int gsi) {
        return counts.getOrDefault(gsi, 0L);
    }

    /** A vCPU that never ran has its APIC switched off and takes no ordinary interrupt; of the others one takes it. */
    long signalMsi(MemorySegment msi) {
        Refusal.when(!exists() || (kvm_msi.flags(msi) & ~kvm_h.KVM_MSI_VALID_DEVID()) != 0, EINVAL);
        if ((kvm_msi.data(msi) & DELIVERY_MODE) != 0) {
            throw new NotModelledException("KVM_SIGNAL_MSI with a delivery mode other than fixed");
        }
        Refusal.when(!vm.hasVcpus(), EPERM);
        if (vm.runningVcpus() == 0) {
            return 0;
        }
        arrives();
        return 1;
    }
}
