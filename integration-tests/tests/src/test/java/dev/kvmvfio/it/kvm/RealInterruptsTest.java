package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.GsiRoutes;
import dev.kvmvfio.kvm.IoAddress;
import dev.kvmvfio.kvm.IoEventFd;
import dev.kvmvfio.kvm.IrqFd;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MsiRoute;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import java.lang.module.ModuleDescriptor.Version;
import java.util.List;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Eventfds that become interrupts in the machine's own KVM, on x86-64. What arrives is read from KVM's chips. */
@Tag("kvm")
class RealInterruptsTest {
    private static final long APIC_0 = 0xfee0_0000L;
    private static final long APIC_1 = 0xfee0_1000L;
    private static final int GSI = 5;

    private final List<String> heldBefore = HeldFiles.now();
    private final WatchedKernel kernel = new WatchedKernel(Kernel.linux());
    private final Kvm kvm = Kvm.open(kernel);
    private final Vm vm = kvm.createVm();
    private final EventFd eventFd = EventFd.create(kernel);
    private final EventFd resample = EventFd.create(kernel);

    @AfterEach
    void nothingIsLeft() {
        kvm.close();
        eventFd.close();
        resample.close();
        assertThat(HeldFiles.now()).isEqualTo(heldBefore);
    }

    private static void assertRefused(Errno errno, String message, ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOfSatisfying(KernelException.class,
                refused -> assertThat(refused.errno()).as(refused.getMessage()).isEqualTo(errno))
                .hasMessageContaining(message);
    }

    private Vcpu vcpu(int id) {
        return Chips.withLapic(vm.createVcpu(id));
    }

    private static void awaitRequestAtPic(Vm of) {
        Chips.await("the request", () -> Chips.isRequestedAtPic(of, GSI));
    }

    @Test
    void aSignalIsAnEdgeAtThePin() {
        vm.interrupts().createIrqchip();
        IrqFd irqFd = vm.interrupts().addIrqFd(eventFd, GSI);
        assertThat(Chips.isRequestedAtPic(vm, GSI)).isFalse();
        eventFd.signal();
        awaitRequestAtPic(vm);
        Chips.await("the falling edge", () -> !Chips.isHighAtIoApic(vm, GSI));
        assertThat(eventFd.take()).as("KVM took it").isZero();
        irqFd.close();
        eventFd.signal();
        assertThat(eventFd.take()).as("nobody else takes it").isEqualTo(1);
    }

    @Test
    void aLineWithResampleStaysHighUntilItIsClosed() {
        vm.interrupts().createIrqchip();
        IrqFd irqFd = vm.interrupts().addIrqFd(eventFd, GSI, resample);
        eventFd.signal();
        Chips.await("the line", () -> Chips.isHighAtIoApic(vm, GSI));
        assertThat(Chips.isRequestedAtPic(vm, GSI)).isTrue();
        assertThat(resample.take()).as("the guest is not done").isZero();
        irqFd.close();
        assertThat(Chips.isHighAtIoApic(vm, GSI)).isFalse();
    }

    @Test
    void theLineGoesUpAndDown() {
        vm.interrupts().createIrqchip();
        vm.interrupts().setLine(GSI, true);
        assertThat(Chips.isHighAtIoApic(vm, GSI)).isTrue();
        vm.interrupts().setLine(GSI, false);
        assertThat(Chips.isHighAtIoApic(vm, GSI)).isFalse();
    }

    /** The kernel replaces its whole table whenever a message is added. */
    @Test
    void pinsWorkWhateverMessagesThereAre() {
        vm.interrupts().createIrqchip();
        MsiRoute first = vm.interrupts().routes().addMsi(APIC_0, 0x41);
        vm.interrupts().routes().addMsi(APIC_0, 0x42);
        first.close();
        for (int pin = 0; pin < 24; pin++) {
            assertThat(Chips.isHighAtIoApic(vm, pin)).isFalse();
            vm.interrupts().setLine(pin, true);
            // The timer's interrupt, ISA 0, is at pin 2, and KVM swaps the two by itself.
            assertThat(Chips.isHighAtIoApic(vm, pin)).as("pin %d", pin).isTrue();
            if (pin < 16 && pin != 2) {
                assertThat(Chips.isRequestedAtPic(vm, pin)).as("ISA interrupt %d", pin).isTrue();
            }
        }
    }

    @Test
    void aSignalIsTheMessageOfItsRoute() {
        vm.interrupts().createIrqchip();
        Vcpu first = vcpu(0);
        Vcpu second = vcpu(1);
        MsiRoute route = vm.interrupts().routes().addMsi(APIC_0, 0x41);
        vm.interrupts().addIrqFd(eventFd, route.gsi());
        eventFd.signal();
        Chips.awaitTaken(first, 0x41);
        route.setMessage(APIC_1, 0x52);
        eventFd.signal();
        Chips.awaitTaken(second, 0x52);
        assertThat(Chips.take(first, 0x41)).isFalse();
        assertThat(Chips.take(first, 0x52)).isFalse();
    }

    @Test
    void whatWasSignalledBeforeTheIrqFdIsDeliveredOnce() {
        vm.interrupts().createIrqchip();
        Vcpu vcpu = vcpu(0);
        MsiRoute route = vm.interrupts().routes().addMsi(APIC_0, 0x41);
        for (int round = 0; round < 50; round++) {
            eventFd.signal();
            eventFd.signal();
            IrqFd irqFd = vm.interrupts().addIrqFd(eventFd, route.gsi());
            Chips.awaitTaken(vcpu, 0x41);
            irqFd.close();
            assertThat(eventFd.take()).isZero();
            assertThat(Chips.take(vcpu, 0x41)).isFalse();
        }
    }

    @Test
    void noMessageIsLostWhileItsRouteChanges() throws Exception {
        vm.interrupts().createIrqchip();
        Vcpu vcpu = vcpu(0);
        MsiRoute route = vm.interrupts().routes().addMsi(APIC_0, 0x41);
        vm.interrupts().addIrqFd(eventFd, route.gsi());
        AtomicInteger changes = new AtomicInteger();
        FutureTask<Void> changing = new FutureTask<>(() -> {
            while (changes.get() < 100) {
                route.setMessage(APIC_0, 0x41 + changes.incrementAndGet() % 2);
                vm.interrupts().routes().addMsi(APIC_0, 0x60).close();
            }
            return null;
        });
        Thread.ofPlatform().start(changing);
        int signals = 0;
        for (; !changing.isDone(); signals++) {
            eventFd.signal();
            Chips.await("the old or the new message", () -> Chips.take(vcpu, 0x41) || Chips.take(vcpu, 0x42));
        }
        changing.get();
        assertThat(signals).isGreaterThan(100);
    }

    @Test
    void aSplitIrqchipTakesMessagesAndItsPinsAreTheProgramsMessages() {
        vm.x86().createSplitIrqchip(24);
        Vcpu vcpu = vcpu(0);
        MsiRoute route = vm.interrupts().routes().addMsi(APIC_0, 0x41);
        assertThat(route.gsi()).isEqualTo(24);
        vm.interrupts().addIrqFd(eventFd, route.gsi());
        eventFd.signal();
        Chips.awaitTaken(vcpu, 0x41);
        vm.interrupts().routes().addMsiForPin(3, APIC_0, 0x33);
        vm.interrupts().setLine(3, true);
        Chips.awaitTaken(vcpu, 0x33);
        assertRefused(Errno.EINVAL, "A resample eventfd needs the IO-APIC in the kernel",
                () -> vm.interrupts().addIrqFd(resample, GSI, eventFd));
        assertRefused(Errno.ENOENT, "call createIrqchip first", vm.x86()::createPit);
    }

    @Test
    void aMessageWithoutARouteSaysWhoTookIt() {
        vm.interrupts().createIrqchip();
        assertRefused(Errno.EPERM, "{address=0xfee00000, data=0x41}: EPERM (Operation not permitted). "
                + "The VM has no vCPU that could take it", () -> vm.interrupts().signalMsi(APIC_0, 0x41));
        Vcpu vcpu = vm.createVcpu(0);
        assertThat(vm.interrupts().signalMsi(APIC_0, 0x41)).as("its local APIC is off").isZero();
        Chips.withLapic(vcpu);
        assertThat(vm.interrupts().signalMsi(APIC_0, 0x41)).isEqualTo(1);
        Chips.awaitTaken(vcpu, 0x41);
        assertThat(vm.interrupts().signalMsi(APIC_1, 0x41)).as("there is no second one").isZero();
    }

    @Test
    void everyRouteThatTheTableSaysItHasCanBeUsed() {
        vm.interrupts().createIrqchip();
        Vcpu vcpu = vcpu(0);
        GsiRoutes routes = vm.interrupts().routes();
        List<MsiRoute> all = IntStream.range(0, 4096 - 40).mapToObj(_ -> routes.addMsi(APIC_0, 0x41)).toList();
        assertThatThrownBy(() -> routes.addMsi(APIC_0, 0x41)).isInstanceOf(HostException.class)
                .hasMessageContaining("all 4096 interrupt routes of VM");
        vm.interrupts().addIrqFd(eventFd, all.getLast().gsi());
        eventFd.signal();
        Chips.awaitTaken(vcpu, 0x41);
    }

    @Test
    void everyRouteOfASplitIrqchipCanBeUsedToo() {
        vm.x86().createSplitIrqchip(4095);
        assertThat(vm.interrupts().routes().addMsi(APIC_0, 0x41).gsi()).isEqualTo(4095);
        assertThatThrownBy(() -> vm.interrupts().routes().addMsi(APIC_0, 0x41)).isInstanceOf(HostException.class);
        assertThat(vm.interrupts().routes().addMsiForPin(4094, APIC_0, 0x41).gsi()).isEqualTo(4094);
    }

    @Test
    void withoutAnIrqchipThereIsARemedy() {
        assertRefused(Errno.EINVAL, "call createIrqchip or createSplitIrqchip first",
                () -> vm.interrupts().addIrqFd(eventFd, GSI));
        assertRefused(Errno.EINVAL, "call createIrqchip first", () -> vm.interrupts().addIrqFd(eventFd, GSI, resample));
        assertRefused(Errno.ENXIO, "call createIrqchip first", () -> vm.interrupts().setLine(GSI, true));
        assertRefused(Errno.EINVAL, "call createIrqchip first", () -> vm.interrupts().signalMsi(APIC_0, 0x41));
        assertRefused(Errno.ENOENT, "call createIrqchip first", vm.x86()::createPit);
        assertThatThrownBy(vm.interrupts()::routes).isInstanceOf(IllegalStateException.class)
                .hasMessageEndingWith("call createIrqchip or createSplitIrqchip first");
    }

    @Test
    void irqchipsAreMadeOnceAndFirst() {
        vm.interrupts().createIrqchip();
        vm.x86().createPit();
        assertRefused(Errno.EEXIST, "This VM has one already", vm.x86()::createPit);
        assertRefused(Errno.EEXIST, "It can be made once", vm.interrupts()::createIrqchip);
        assertRefused(Errno.EEXIST, "It can be made once", () -> vm.x86().createSplitIrqchip(24));
        Vm late = kvm.createVm();
        late.createVcpu(0);
        assertRefused(Errno.EINVAL, "before the first vCPU", late.interrupts()::createIrqchip);
        assertRefused(Errno.EEXIST, "before the first vCPU", () -> late.x86().createSplitIrqchip(24));
        assertRefused(Errno.EINVAL, "There can be 0 to 4096 pins", () -> late.x86().createSplitIrqchip(4097));
    }

    /** Until Linux 6.16 a VM looks at its own irqfds only, and the oldest of all takes what is signalled. */
    private static boolean looksAtOtherVms() {
        return Version.parse(System.getProperty("os.version")).compareTo(Version.parse("6.17")) >= 0;
    }

    @Test
    void anEventFdInterruptsOnceAndOneGuest() {
        vm.interrupts().createIrqchip();
        Vm other = kvm.createVm();
        other.interrupts().createIrqchip();
        IrqFd irqFd = vm.interrupts().addIrqFd(eventFd, GSI);
        for (Vm each : looksAtOtherVms() ? List.of(vm, other) : List.of(vm)) {
            assertRefused(Errno.EBUSY, "This eventfd interrupts a guest already",
                    () -> each.interrupts().addIrqFd(eventFd, GSI));
        }
        if (looksAtOtherVms()) {
            irqFd.close();
            other.interrupts().addIrqFd(eventFd, GSI);
        } else {
            other.interrupts().addIrqFd(eventFd, GSI);
            irqFd.close();
        }
        eventFd.signal();
        awaitRequestAtPic(other);
        assertThat(Chips.isRequestedAtPic(vm, GSI)).isFalse();
    }

    /** Two lines may share an interrupt, which falls when the last of them is gone. */
    @Test
    void aResampleEventFdCanServeTwoLines() {
        vm.interrupts().createIrqchip();
        try (EventFd second = EventFd.create(kernel)) {
            IrqFd one = vm.interrupts().addIrqFd(eventFd, GSI, resample);
            vm.interrupts().addIrqFd(second, GSI, resample);
            eventFd.signal();
            Chips.await("the line", () -> Chips.isHighAtIoApic(vm, GSI));
            one.close();
            assertThat(Chips.isHighAtIoApic(vm, GSI)).as("the other one may need it").isTrue();
        }
        assertThat(Chips.isHighAtIoApic(vm, GSI)).isFalse();
    }

    @Test
    void ioEventFdsThatCollideAreRefused() {
        IoEventFd port = vm.addIoEventFd(eventFd, IoAddress.port(0x510), 2);
        assertRefused(Errno.EEXIST, "It collides with one of [" + port + "]",
                () -> vm.addIoEventFd(resample, IoAddress.port(0x510), 2, 7));
        vm.addIoEventFd(resample, IoAddress.port(0x510), 1);
        vm.addIoEventFd(eventFd, IoAddress.mmio(0x510), 4, 1);
        vm.addIoEventFd(eventFd, IoAddress.mmio(0x510), 4, 2);
        assertRefused(Errno.EEXIST, "datamatch=0x2", () -> vm.addIoEventFd(eventFd, IoAddress.mmio(0x510), 4, 2));
        assertRefused(Errno.EEXIST, "len=0", () -> vm.addIoEventFd(eventFd, IoAddress.mmio(0x510), 0));
        port.close();
        port.close();
        vm.addIoEventFd(eventFd, IoAddress.port(0x510), 2, 7);
        eventFd.close();
        vm.addIoEventFd(resample, IoAddress.mmio(0x510), 0);
        vm.addIoEventFd(resample, IoAddress.mmio(-8), 4);
    }

    /** Refuses each call in turn; what was there before must still work, and the same must succeed afterwards. */
    @Test
    void everyFailingCallLeavesNothing() {
        vm.interrupts().createIrqchip();
        Vcpu vcpu = vcpu(0);
        Runnable all = () -> {
            try (MsiRoute route = vm.interrupts().routes().addMsi(APIC_0, 0x41);
                    IrqFd message = vm.interrupts().addIrqFd(eventFd, route.gsi());
                    IoEventFd doorbell = vm.addIoEventFd(resample, IoAddress.mmio(1L << 32), 4, 1)) {
                route.setMessage(APIC_0, 0x42);
                assertThat(List.of(message, doorbell)).allMatch(handle -> handle.isOpen());
            }
        };
        kernel.refuse(-1, null);
        all.run();
        int calls = kernel.calls().size();
        assertThat(calls).isEqualTo(7);
        for (int i = 0; i < 4; i++) {
            kernel.refuse(i, Errno.ENOMEM);
            assertRefused(Errno.ENOMEM, "ENOMEM", all::run);
            kernel.refuse(-1, null);
            all.run();
            assertThat(vm.interrupts().signalMsi(APIC_0, 0x43)).isEqualTo(1);
            Chips.awaitTaken(vcpu, 0x43);
        }
    }
}
