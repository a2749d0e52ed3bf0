package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.it.kvm.WatchedKernel;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.IoAddress;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MsiRoute;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockGuest;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.PciEndpoint;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.IntxLine;
import dev.kvmvfio.vfio.MsiVectors;
import dev.kvmvfio.vfio.Region;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Interrupts from a device to its guest, with the device's own side and the guest's played by the test. */
@Tag("mock")
class MockInterruptsTest {
    private static final String ADDRESS = "0000:6a:01.0";
    private static final long APIC = 0xfee0_0000L;
    private static final int GSI = 11;
    private static final int FIRST_MESSAGE = 24;
    private static final int VECTORS = 5;
    private static final MemorySegment ROUTES = MemorySegment.ofAddress(kvm_h.KVM_CAP_IRQ_ROUTING());
    private static final short BUS_MASTER = 4;

    private final MockKernel mock = MockKernel.example();
    private final WatchedKernel kernel = new WatchedKernel(mock);
    private final Kvm kvm = Kvm.open(kernel);
    private final Vm vm = kvm.createVm();
    private final MockGuest guest = mock.guest(vm.fd().number());
    private final PciEndpoint endpoint = mock.endpoint(ADDRESS);
    private AttachedDevice attached;
    private GuestDevice device;

    @BeforeEach
    void attach() {
        attach(vm);
    }

    private void attach(Vm to) {
        attached = AttachedDevice.request(kernel, PciAddress.parse(ADDRESS)).attach(to);
        device = attached.device();
        Region config = device.region(Region.CONFIG);
        config.writeShort(4, (short) (config.readShort(4) | BUS_MASTER));
    }

    @AfterEach
    void nothingIsLeft() {
        kvm.close();
        mock.close();
    }

    private MsiVectors connectMsiX() {
        return device.connectMsix(VECTORS);
    }

    private static void assertRefused(Errno errno, String message, ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOfSatisfying(KernelException.class,
                refused -> assertThat(refused.errno()).as(refused.getMessage()).isEqualTo(errno))
                .hasMessageContaining(message);
    }

    @Test
    void theLineInterruptsAgainOnlyWhenTheGuestIsDone() {
        vm.interrupts().createIrqchip();
        device.connectIntx(GSI);
        endpoint.raiseIntx();
        assertThat(guest.interrupts(GSI)).isEqualTo(1);
        guest.acknowledge(GSI);
        assertThat(guest.interrupts(GSI)).as("the device still asks").isEqualTo(2);
        endpoint.lowerIntx();
        guest.acknowledge(GSI);
        assertThat(guest.interrupts(GSI)).isEqualTo(2);
        endpoint.raiseIntx();
        assertThat(guest.interrupts(GSI)).isEqualTo(3);
    }

    @Test
    void aClosedLineInterruptsNobodyAndCanBeConnectedElsewhere() {
        vm.interrupts().createIrqchip();
        device.connectIntx(GSI).close();
        endpoint.raiseIntx();
        assertThat(guest.interrupts(GSI)).isZero();
        IntxLine again = device.connectIntx(GSI - 1);
        assertThat(guest.interrupts(GSI - 1)).as("the device asked before").isEqualTo(1);
        assertThat(again).hasToString("INTx of " + device + " to GSI 10");
    }

    @Test
    void aVectorCanLoseItsEventFdAndGetAnother() {
        try (EventFd first = EventFd.create(kernel); EventFd second = EventFd.create(kernel)) {
            Interrupt msix = device.interrupt(Interrupt.MSIX);
            msix.enable(first, second);
            msix.clearVector(0);
            assertThat(endpoint.sendMessage(0)).isFalse();
            assertThat(endpoint.sendMessage(1)).isTrue();
            assertThat(List.of(first.take(), second.take())).containsExactly(0L, 1L);
            msix.setVector(0, first);
            assertThat(endpoint.sendMessage(0)).isTrue();
            assertThat(first.take()).isEqualTo(1);
            assertThatThrownBy(() -> msix.clearVector(VECTORS)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("vector 5 is beyond the 5");
            msix.disable();
        }
    }

    @Test
    void whatUnmasksTheLineCanBeTakenFromIt() {
        try (EventFd fired = EventFd.create(kernel); EventFd done = EventFd.create(kernel)) {
            Interrupt intx = device.interrupt(Interrupt.INTX);
            intx.enable(fired);
            intx.unmaskOn(done);
            endpoint.raiseIntx();
            done.signal();
            assertThat(fired.take()).as("fired again").isEqualTo(2);
            intx.unmaskOnNothing();
            done.signal();
            assertThat(fired.take()).isZero();
            intx.unmaskOn(done);
            intx.disable();
        }
    }

    @Test
    void allVectorsAreEnabledInOneCall() {
        vm.interrupts().createIrqchip();
        mock.clearTrace();
        connectMsiX();
        assertThat(mock.trace().stream().map(Object::toString).filter(call -> call.contains("SET_IRQS"))).hasSize(1);
    }

    @Test
    void eachVectorComesByItsOwnRoute() {
        vm.interrupts().createIrqchip();
        MsiVectors vectors = connectMsiX();
        IntStream.range(0, VECTORS).forEach(i -> vectors.program(i, APIC, 0x40 + i));
        IntStream.range(0, VECTORS).forEach(i -> IntStream.rangeClosed(0, i).forEach(_ -> endpoint.sendMessage(i)));
        for (int i = 0; i < VECTORS; i++) {
            assertThat(guest.interrupts(FIRST_MESSAGE + i)).isEqualTo(i + 1);
        }
    }

    @Test
    void whatComesBeforeTheMessageIsProgrammedWaits() {
        vm.interrupts().createIrqchip();
        MsiVectors vectors = connectMsiX();
        endpoint.sendMessage(2);
        endpoint.sendMessage(2);
        assertThat(vectors.isPending(2)).isTrue();
        assertThat(vectors.isPending(1)).isFalse();
        vectors.program(2, APIC, 0x41);
        assertThat(guest.interrupts(FIRST_MESSAGE)).isEqualTo(1);
        assertThat(vectors.isPending(2)).isFalse();
    }

    @Test
    void whatComesWhileAVectorIsMaskedWaits() {
        vm.interrupts().createIrqchip();
        MsiVectors vectors = connectMsiX();
        vectors.program(0, APIC, 0x41);
        vectors.mask(0);
        vectors.mask(0);
        endpoint.sendMessage(0);
        endpoint.sendMessage(0);
        assertThat(guest.interrupts(FIRST_MESSAGE)).isZero();
        assertThat(vectors.isPending(0)).isTrue();
        vectors.program(0, APIC + 0x1000, 0x52);
        assertThat(guest.interrupts(FIRST_MESSAGE)).isZero();
        vectors.unmask(0);
        assertThat(guest.interrupts(FIRST_MESSAGE)).isEqualTo(1);
        vectors.unmask(0);
        vectors.mask(0);
        assertThat(vectors.isPending(0)).as("delivered once").isFalse();
        vectors.unmask(0);
        endpoint.sendMessage(0);
        assertThat(guest.interrupts(FIRST_MESSAGE)).isEqualTo(2);
    }

    @Test
    void aVectorCanBeMaskedBeforeItIsProgrammed() {
        vm.interrupts().createIrqchip();
        MsiVectors vectors = connectMsiX();
        vectors.mask(0);
        vectors.program(0, APIC, 0x41);
        endpoint.sendMessage(0);
        assertThat(guest.interrupts(FIRST_MESSAGE)).isZero();
        vectors.unmask(0);
        assertThat(guest.interrupts(FIRST_MESSAGE)).isEqualTo(1);
    }

    @Test
    void aProgrammedVectorKeepsItsRouteWhenItChanges() {
        vm.interrupts().createIrqchip();
        MsiVectors vectors = connectMsiX();
        vectors.program(0, APIC, 0x41);
        mock.clearTrace();
        vectors.program(0, APIC + 0x1000, 0x52);
        assertThat(mock.trace().stream().map(Object::toString)).singleElement().asString()
                .contains("KVM_SET_GSI_ROUTING");
        endpoint.sendMessage(0);
        assertThat(guest.interrupts(FIRST_MESSAGE)).isEqualTo(1);
    }

    @Test
    void messagesWorkWithASplitIrqchipToo() {
        vm.x86().createSplitIrqchip(24);
        MsiVectors vectors = connectMsiX();
        vectors.program(0, APIC, 0x41);
        endpoint.sendMessage(0);
        assertThat(guest.interrupts(FIRST_MESSAGE)).isEqualTo(1);
        vectors.close();
        assertRefused(Errno.EINVAL, "A resample eventfd needs the IO-APIC in the kernel",
                () -> device.connectIntx(GSI));
        assertThat(device.interrupt(Interrupt.INTX).isEnabled()).isFalse();
    }

    /** As Linux 7.2 answered that was built without them. */
    @Test
    void aKernelWithoutChipsSaysWhatToDo() {
        mock.failCall("KVM_CREATE_IRQCHIP", 1, Errno.ENOTTY);
        assertRefused(Errno.ENOTTY, "built without CONFIG_KVM_IOAPIC: call createSplitIrqchip",
                vm.interrupts()::createIrqchip);
    }

    @Test
    void aConnectionWithoutAnIrqchipSaysWhatToDo() {
        assertRefused(Errno.EINVAL, "call createIrqchip first", () -> device.connectIntx(GSI));
        assertThatThrownBy(this::connectMsiX).isInstanceOf(IllegalStateException.class)
                .hasMessageEndingWith("call createIrqchip or createSplitIrqchip first");
    }

    @Test
    void anInterruptIsConnectedOnceAndOneKindAtATime() {
        vm.interrupts().createIrqchip();
        IntxLine line = device.connectIntx(GSI);
        assertThatThrownBy(() -> device.connectIntx(GSI)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("is enabled already");
        assertRefused(Errno.EINVAL, "INTx is enabled, and a device has one kind at a time: disable it first",
                this::connectMsiX);
        endpoint.raiseIntx();
        assertThat(guest.interrupts(GSI)).as("the refusals changed nothing").isEqualTo(1);
        line.close();
        connectMsiX();
    }

    @Test
    void moreVectorsThanThereAreAreRefused() {
        vm.interrupts().createIrqchip();
        for (int vectors : List.of(-1, 0, VECTORS + 1)) {
            assertThatThrownBy(() -> device.connectMsix(vectors))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(vectors + " vectors cannot be connected of MSI-X");
        }
        MsiVectors vectors = connectMsiX();
        assertThatThrownBy(() -> vectors.program(VECTORS, APIC, 0)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    static Stream<List<Integer>> orders() {
        return Stream.of(List.of(0, 1, 2), List.of(0, 2, 1), List.of(1, 0, 2), List.of(1, 2, 0), List.of(2, 0, 1),
                List.of(2, 1, 0));
    }

    @ParameterizedTest
    @MethodSource("orders")
    void anyOrderOfClosesLeavesNothing(List<Integer> order) {
        List<String> before = mock.leaks();
        attached.close();
        Vm another = kvm.createVm();
        another.interrupts().createIrqchip();
        attach(another);
        MsiVectors vectors = connectMsiX();
        vectors.program(0, APIC, 0x41);
        List<Handle> handles = List.of(another, attached, vectors);
        order.forEach(i -> {
            handles.get(i).close();
            assertThat(vectors.isOpen()).isFalse();
            assertThat(mock.leaks()).noneMatch(leak -> leak.contains("eventfd"));
        });
        attach();
        assertThat(mock.leaks()).isEqualTo(before);
        assertThat(endpoint.sendMessage(0)).isFalse();
    }

    @Test
    void aDeviceThatIsQuiescedIsDisconnected() {
        vm.interrupts().createIrqchip();
        IntxLine line = device.connectIntx(GSI);
        Lifecycle.quiesce(device);
        assertThat(line.isOpen()).isFalse();
        IntxLine again = device.connectIntx(GSI);
        line.close();
        endpoint.raiseIntx();
        assertThat(guest.interrupts(GSI)).isEqualTo(1);
        again.close();
    }

    private enum Connection {
        INTX, MSI, MSIX;

        Handle connect(GuestDevice device) {
            if (this == INTX) {
                return device.connectIntx(GSI);
            }
            MsiVectors vectors = this == MSI
                    ? device.connectMsi(device.interrupt(Interrupt.MSI).count())
                    : device.connectMsix(device.interrupt(Interrupt.MSIX).count());
            try {
                vectors.program(0, APIC, 0x41);
                vectors.mask(0);
                vectors.program(0, APIC, 0x42);
                vectors.unmask(0);
                return vectors;
            } catch (RuntimeException failure) {
                vectors.close();
                throw failure;
            }
        }
    }

    /** Refuses each call in turn; after each the host must be as it was, and the same must work. */
    @ParameterizedTest
    @EnumSource
    void everyFailingCallOfAConnectUndoesTheOthers(Connection connection) {
        vm.interrupts().createIrqchip();
        connection.connect(device).close();
        List<String> before = mock.leaks();
        kernel.refuse(-1, null);
        Handle whole = connection.connect(device);
        int calls = kernel.calls().size();
        whole.close();
        assertThat(calls).isGreaterThanOrEqualTo(5);
        for (int i = 0; i < calls; i++) {
            kernel.refuse(i, Errno.ENXIO);
            assertRefused(Errno.ENXIO, "", () -> connection.connect(device));
            kernel.refuse(-1, null);
            assertThat(mock.leaks()).as("call %d of %d", i, calls).isEqualTo(before);
            connection.connect(device).close();
        }
    }

    @ParameterizedTest
    @EnumSource
    void everyFailingCallOfACloseStillGivesEverythingBack(Connection connection) {
        vm.interrupts().createIrqchip();
        List<String> before = mock.leaks();
        kernel.refuse(-1, null);
        Handle whole = connection.connect(device);
        int connecting = kernel.calls().size();
        whole.close();
        int all = kernel.calls().size();
        assertThat(all).isGreaterThan(connecting);
        for (int i = connecting; i < all; i++) {
            kernel.refuse(i, Errno.EIO);
            Handle closing = connection.connect(device);
            assertRefused(Errno.EIO, "", closing::close);
            kernel.refuse(-1, null);
            Lifecycle.quiesce(device);
            assertThat(mock.leaks()).as("call %d of %d", i, all).isEqualTo(before);
            connection.connect(device).close();
        }
    }

    @Test
    void routesReuseTheLowestFreeGsi() {
        vm.interrupts().createIrqchip();
        MsiRoute first = vm.interrupts().routes().addMsi(APIC, 1);
        MsiRoute second = vm.interrupts().routes().addMsi(APIC, 2);
        assertThat(List.of(first.gsi(), second.gsi())).containsExactly(FIRST_MESSAGE, FIRST_MESSAGE + 1);
        first.close();
        first.close();
        assertThat(vm.interrupts().routes().addMsi(APIC, 3).gsi()).isEqualTo(FIRST_MESSAGE);
        assertThatThrownBy(() -> first.setMessage(APIC, 4)).isInstanceOf(IllegalStateException.class)
                .hasMessageEndingWith("is closed");
        assertThat(second).hasToString("GSI 25, message 0x2 to address 0xfee00000");
    }

    /** A guest often writes to a vector what is there already, and the call replaces the whole table. */
    @Test
    void aMessageThatStaysTheSameIsNotSetAgain() {
        vm.interrupts().createIrqchip();
        MsiRoute route = vm.interrupts().routes().addMsi(APIC, 1);
        kernel.refuse(-1, null);
        route.setMessage(APIC, 1);
        assertThat(kernel.calls()).isEmpty();
        route.setMessage(APIC, 2);
        assertThat(kernel.calls()).hasSize(1);
    }

    @Test
    void aRefusedRouteChangesNothing() {
        vm.interrupts().createIrqchip();
        kernel.refuse(0, Errno.ENOMEM);
        assertRefused(Errno.ENOMEM, "KVM_SET_GSI_ROUTING on VM", () -> vm.interrupts().routes().addMsi(APIC, 1));
        MsiRoute route = vm.interrupts().routes().addMsi(APIC, 1);
        assertThat(route.gsi()).isEqualTo(FIRST_MESSAGE);
        kernel.refuse(0, Errno.ENOMEM);
        assertRefused(Errno.ENOMEM, "GSI 24", () -> route.setMessage(APIC + 0x1000, 2));
        assertThat(List.of(route.address(), (long) route.data())).containsExactly(APIC, 1L);
    }

    /** A kernel that has few routes, because filling 4096 takes long: the call gets longer each time. */
    private Vm createVmWithRoutes(int routes) {
        Kernel small = (Kernel) Proxy.newProxyInstance(Kernel.class.getClassLoader(), new Class<?>[]{Kernel.class},
                (_, method, arguments) -> method.getName().equals("ioctl") && arguments[2].equals(ROUTES)
                        ? routes
                        : method.invoke(kernel, arguments));
        return Lifecycle.adopt(Kvm.open(small), kvm).createVm();
    }

    @Test
    void aFullTableIsToldBeforeTheKernelIsAsked() {
        Vm full = createVmWithRoutes(64);
        full.interrupts().createIrqchip();
        fill(full, 64 - 40);
    }

    @Test
    void aFullTableOfASplitIrqchipEndsAtTheLastGsi() {
        Vm split = createVmWithRoutes(64);
        split.x86().createSplitIrqchip(24);
        for (int pin = 0; pin < 24; pin++) {
            assertThat(split.interrupts().routes().addMsiForPin(pin, APIC, pin).gsi()).isEqualTo(pin);
        }
        fill(split, 64 - 24);
    }

    private void fill(Vm filled, int messages) {
        List<MsiRoute> routes = IntStream.range(0, messages).mapToObj(i -> filled.interrupts().routes().addMsi(APIC, i))
                .toList();
        kernel.refuse(-1, null);
        assertThatThrownBy(() -> filled.interrupts().routes().addMsi(APIC, 0)).isInstanceOf(HostException.class)
                .hasMessageContaining("all 64 interrupt routes of VM")
                .hasMessageContaining("(KVM_CAP_IRQ_ROUTING). Close routes that are not needed");
        assertThat(kernel.calls()).isEmpty();
        routes.get(7).close();
        assertThat(filled.interrupts().routes().addMsi(APIC, 0).gsi()).isEqualTo(routes.get(7).gsi());
    }

    @Test
    void onlyPinsOfTheProgramsOwnIoApicAreRouted() {
        vm.interrupts().createIrqchip();
        assertThatThrownBy(() -> vm.interrupts().routes().addMsiForPin(0, APIC, 0))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("is the kernel's");
        Vm split = kvm.createVm();
        split.x86().createSplitIrqchip(24);
        split.interrupts().routes().addMsiForPin(3, APIC, 0x31);
        assertThatThrownBy(() -> split.interrupts().routes().addMsiForPin(3, APIC, 0x31))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("has a route already: GSI 3, message 0x31");
        assertThatThrownBy(() -> split.interrupts().routes().addMsiForPin(24, APIC, 0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("pin 24 is beyond the 24");
        split.interrupts().setLine(3, true);
        assertThat(mock.guest(split.fd().number()).interrupts(3)).isEqualTo(1);
    }

    /** Otherwise the next message with its GSI would be another device's. */
    @Test
    void aRouteClosesItsIrqFdFirst() {
        vm.interrupts().createIrqchip();
        try (EventFd eventFd = EventFd.create(kernel); EventFd other = EventFd.create(kernel)) {
            MsiRoute route = vm.interrupts().routes().addMsi(APIC, 1);
            Handle irqFd = vm.interrupts().addIrqFd(eventFd, route.gsi());
            route.close();
            assertThat(irqFd.isOpen()).isFalse();
            MsiRoute next = vm.interrupts().routes().addMsi(APIC, 2);
            vm.interrupts().addIrqFd(other, next.gsi());
            eventFd.signal();
            assertThat(guest.interrupts(next.gsi())).isZero();
        }
    }

    @Test
    void anEventFdInterruptsOnce() {
        vm.interrupts().createIrqchip();
        try (EventFd eventFd = EventFd.create(kernel)) {
            Handle irqFd = vm.interrupts().addIrqFd(eventFd, 5);
            assertRefused(Errno.EBUSY, "This eventfd interrupts a guest already",
                    () -> vm.interrupts().addIrqFd(eventFd, 6));
            assertThatThrownBy(() -> vm.interrupts().addIrqFd(eventFd, -1)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("GSI -1 is negative");
            irqFd.close();
            vm.interrupts().addIrqFd(eventFd, 6);
            eventFd.signal();
            assertThat(guest.interrupts(6)).isEqualTo(1);
            assertThat(guest.interrupts(5)).isZero();
        }
    }

    @Test
    void aClosedEventFdTakesItsIrqFdAlong() {
        vm.interrupts().createIrqchip();
        EventFd trigger = EventFd.create(kernel);
        EventFd resample = EventFd.create(kernel);
        Handle irqFd = vm.interrupts().addIrqFd(trigger, 5, resample);
        resample.close();
        assertThat(irqFd.isOpen()).isFalse();
        trigger.signal();
        assertThat(trigger.take()).as("nobody takes it before").isEqualTo(1);
        trigger.close();
        assertThatThrownBy(() -> vm.interrupts().addIrqFd(trigger, 5)).isInstanceOf(IllegalStateException.class)
                .hasMessageEndingWith("is closed");
    }

    @Test
    void writesOfTheGuestSignal() {
        try (EventFd port = EventFd.create(kernel); EventFd memory = EventFd.create(kernel)) {
            vm.addIoEventFd(port, IoAddress.port(0x510), 2);
            Handle one = vm.addIoEventFd(memory, IoAddress.mmio(1L << 32), 4, 1);
            vm.addIoEventFd(port, IoAddress.mmio(1L << 32), 4, 2);
            assertThat(guest.writePort(0x510, 2, 7)).isTrue();
            assertThat(guest.writePort(0x510, 1, 7)).isFalse();
            assertThat(guest.writeMmio(1L << 32, 4, 1)).isTrue();
            assertThat(guest.writeMmio(1L << 32, 4, 2)).isTrue();
            assertThat(guest.writeMmio(1L << 32, 4, 3)).isFalse();
            assertThat(List.of(port.take(), memory.take())).containsExactly(2L, 1L);
            one.close();
            assertThat(guest.writeMmio(1L << 32, 4, 1)).isFalse();
        }
        assertThat(guest.writePort(0x510, 2, 7)).as("closed with its eventfd").isFalse();
    }

    @Test
    void ioEventFdsThatCannotBeAreRefused() {
        try (EventFd eventFd = EventFd.create(kernel)) {
            Handle first = vm.addIoEventFd(eventFd, IoAddress.port(0x510), 0);
            assertRefused(Errno.EEXIST, "{fd=" + eventFd + ", addr=port 0x510, len=2, datamatch=0x7}: EEXIST",
                    () -> vm.addIoEventFd(eventFd, IoAddress.port(0x510), 2, 7));
            assertRefused(Errno.EEXIST, "It collides with one of [" + first + "]",
                    () -> vm.addIoEventFd(eventFd, IoAddress.port(0x510), 2));
            kernel.refuse(-1, null);
            List<Supplier<Handle>> impossible = List.of(() -> vm.addIoEventFd(eventFd, IoAddress.port(0x510), 3),
                    () -> vm.addIoEventFd(eventFd, IoAddress.port(0x510), 8),
                    () -> vm.addIoEventFd(eventFd, IoAddress.mmio(0), 16),
                    () -> vm.addIoEventFd(eventFd, IoAddress.mmio(0), -1),
                    () -> vm.addIoEventFd(eventFd, IoAddress.mmio(-2), 4),
                    () -> vm.addIoEventFd(eventFd, IoAddress.mmio(0), 0, 1),
                    () -> vm.addIoEventFd(eventFd, IoAddress.mmio(0), 1, 0x100),
                    () -> vm.addIoEventFd(eventFd, IoAddress.port(0x10000), 1),
                    () -> vm.addIoEventFd(eventFd, IoAddress.port(-1), 1));
            impossible.forEach(call -> assertThatThrownBy(call::get).isInstanceOf(IllegalArgumentException.class));
            assertThat(kernel.calls()).isEmpty();
        }
    }

    @ParameterizedTest
    @EnumSource
    void irqchipsAreMadeOnceAndFirst(KernelProfile profile) {
        try (MockKernel other = MockKernel.host(profile).start(); Kvm otherKvm = Kvm.open(other)) {
            Vm full = otherKvm.createVm();
            assertRefused(Errno.ENXIO, "call createIrqchip first", () -> full.interrupts().setLine(1, true));
            assertRefused(Errno.EINVAL, "call createIrqchip first", () -> full.interrupts().signalMsi(APIC, 1));
            full.interrupts().createIrqchip();
            full.x86().createPit();
            assertRefused(Errno.EEXIST, "This VM has one already", full.x86()::createPit);
            assertRefused(Errno.EEXIST, "It can be made once, and before the first vCPU",
                    full.interrupts()::createIrqchip);
            assertRefused(Errno.EEXIST, "It can be made once", () -> full.x86().createSplitIrqchip(24));
            assertRefused(Errno.EPERM, "The VM has no vCPU that could take it",
                    () -> full.interrupts().signalMsi(APIC, 1));
            full.interrupts().setLine(1, true);
            full.interrupts().setLine(1, false);
            full.createVcpu(0);
            assertThat(full.interrupts().signalMsi(APIC, 1)).as("its local APIC is off").isZero();
            Vm late = otherKvm.createVm();
            late.createVcpu(0);
            assertRefused(Errno.EINVAL, "before the first vCPU", late.interrupts()::createIrqchip);
            assertRefused(Errno.EINVAL, "{cap=KVM_CAP_SPLIT_IRQCHIP, pins=4097}: EINVAL (Invalid argument). "
                    + "There can be 0 to 4096 pins", () -> late.x86().createSplitIrqchip(4097));
        }
    }
}
