package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_ioapic_state;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_irqchip;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_lapic_state;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_pic_state;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.function.BooleanSupplier;

/** What reached the interrupt controllers that KVM models, told without running the guest. */
public final class Chips {
    private static final Ioctl GET_IRQCHIP = new Ioctl("KVM_GET_IRQCHIP", kvm_h.KVM_GET_IRQCHIP());
    private static final Ioctl GET_LAPIC = new Ioctl("KVM_GET_LAPIC", kvm_x86_64_h.KVM_GET_LAPIC());
    private static final Ioctl SET_LAPIC = new Ioctl("KVM_SET_LAPIC", kvm_x86_64_h.KVM_SET_LAPIC());
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private static final int PIC_PINS = 8;
    private static final long SPURIOUS_VECTOR = 0xf0;
    private static final int ENABLED = 1 << 8;
    private static final long REQUESTED = 0x200;
    private static final long REGISTER = 0x10;
    private static final int WORDS = 8;

    private Chips() {
    }

    private static MemorySegment read(Arena arena, Vm vm, int chip) {
        MemorySegment state = kvm_irqchip.allocate(arena);
        kvm_irqchip.chip_id(state, chip);
        vm.fd().call(GET_IRQCHIP, state);
        return kvm_irqchip.chip(state);
    }

    /** Whether the IO-APIC's pin is high. */
    public static boolean isHighAtIoApic(Vm vm, int pin) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = read(arena, vm, kvm_x86_64_h.KVM_IRQCHIP_IOAPIC());
            return (kvm_ioapic_state.irr(kvm_irqchip.chip.ioapic(state)) >> pin & 1) != 0;
        }
    }

    /** Whether the PIC remembers an edge that no processor took yet. */
    public static boolean isRequestedAtPic(Vm vm, int gsi) {
        int chip = gsi < PIC_PINS ? kvm_x86_64_h.KVM_IRQCHIP_PIC_MASTER() : kvm_x86_64_h.KVM_IRQCHIP_PIC_SLAVE();
        try (Arena arena = Arena.ofConfined()) {
            byte requests = kvm_pic_state.irr(kvm_irqchip.chip.pic(read(arena, vm, chip)));
            return (requests >> gsi % PIC_PINS & 1) != 0;
        }
    }

    /** A local APIC takes no interrupts until its guest has switched it on. */
    public static Vcpu withLapic(Vcpu vcpu) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = kvm_lapic_state.allocate(arena);
            vcpu.fd().call(GET_LAPIC, state);
            int spurious = state.get(ValueLayout.JAVA_INT, SPURIOUS_VECTOR);
            state.set(ValueLayout.JAVA_INT, SPURIOUS_VECTOR, spurious | ENABLED);
            vcpu.fd().call(SET_LAPIC, state);
        }
        return vcpu;
    }

    /** Whether the local APIC has an interrupt for its processor; it has none after this. */
    public static boolean take(Vcpu vcpu, int vector) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = kvm_lapic_state.allocate(arena);
            vcpu.fd().call(GET_LAPIC, state);
            boolean requested = isRequested(state, vector);
            if (requested) {
                for (int word = 0; word < WORDS; word++) {
                    state.set(ValueLayout.JAVA_INT, REQUESTED + word * REGISTER, 0);
                }
                vcpu.fd().call(SET_LAPIC, state);
            }
            return requested;
        }
    }

    private static boolean isRequested(MemorySegment state, int vector) {
        int word = state.get(ValueLayout.JAVA_INT, REQUESTED + vector / Integer.SIZE * REGISTER);
        return (word >>> vector % Integer.SIZE & 1) != 0;
    }

    public static void awaitTaken(Vcpu vcpu, int vector) {
        await("vector 0x" + Integer.toHexString(vector), () -> take(vcpu, vector));
    }

    /** Whatever is no message is handed on by a thread of the kernel, and so are signals before the irqfd. */
    public static void await(String what, BooleanSupplier happened) {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (!happened.getAsBoolean()) {
            assertThat(System.nanoTime() < end).as("%s within %s", what, PATIENCE).isTrue();
            Thread.yield();
        }
    }
}
