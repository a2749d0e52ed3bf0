package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.it.kvm.Chips;
import dev.kvmvfio.it.kvm.HeldFiles;
import dev.kvmvfio.it.kvm.WatchedKernel;
import dev.kvmvfio.it.lab.LabMachine;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.IntxLine;
import dev.kvmvfio.vfio.MsiVectors;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Interrupts of a real device become a guest's, as KVM's interrupt controllers tell; no guest runs. */
@Tag("in-lab")
class LabInterruptsTest {
    private static final String INTERFACES = "dev.kvmvfio.it.lab.LabMachine#interfaces";
    private static final long APIC = 0xfee0_0000L;
    private static final int GSI = 11;
    private static final long SHORT_MILLIS = 300;

    private final WatchedKernel kernel = new WatchedKernel(Kernel.linux());
    private final Kvm kvm = Kvm.open(kernel);
    private final Vm vm = kvm.createVm();

    @AfterEach
    void nothingIsLeft() {
        kvm.close();
        assertThat(HeldFiles.now()).isEmpty();
    }

    private GuestDevice attach(VfioInterface by, String address) {
        return AttachedDevice.request(kernel, PciAddress.parse(address)).via(by).attach(vm).device();
    }

    private Vcpu guest() {
        vm.interrupts().createIrqchip();
        return Chips.withLapic(vm.createVcpu(0));
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void intxRaisesTheLineOfTheGuest(VfioInterface by) {
        guest();
        GuestDevice device = attach(by, LabMachine.EDU);
        Edu edu = new Edu(device);
        IntxLine line = device.connectIntx(GSI);
        assertThat(Chips.isHighAtIoApic(vm, GSI)).isFalse();
        edu.raiseInterrupt(1);
        Chips.await("the line", () -> Chips.isHighAtIoApic(vm, GSI));
        line.close();
        assertThat(Chips.isHighAtIoApic(vm, GSI)).as("the guest has no such line any more").isFalse();
        device.connectIntx(GSI - 1);
        Chips.await("the line of a device that still asks", () -> Chips.isHighAtIoApic(vm, GSI - 1));
        edu.acknowledgeInterrupt(1);
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void msiIsTheMessageThatTheGuestProgrammed(VfioInterface by) {
        Vcpu vcpu = guest();
        GuestDevice device = attach(by, LabMachine.EDU);
        Edu edu = new Edu(device);
        edu.enableBusMaster();
        MsiVectors vectors = device.connectMsi(1);
        fire(edu);
        Chips.await("an interrupt that waits for its message", () -> vectors.isPending(0));
        vectors.program(0, APIC, 0x41);
        Chips.awaitTaken(vcpu, 0x41);
        fire(edu);
        Chips.awaitTaken(vcpu, 0x41);
        vectors.program(0, APIC, 0x52);
        fire(edu);
        Chips.awaitTaken(vcpu, 0x52);
    }

    /** With MSI, each raise is one message. */
    private static void fire(Edu edu) {
        edu.raiseInterrupt(1);
        edu.acknowledgeInterrupt(1);
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void aMaskedVectorWaits(VfioInterface by) throws InterruptedException {
        Vcpu vcpu = guest();
        GuestDevice device = attach(by, LabMachine.EDU);
        Edu edu = new Edu(device);
        edu.enableBusMaster();
        MsiVectors vectors = device.connectMsi(1);
        vectors.program(0, APIC, 0x41);
        for (int round = 0; round < 5; round++) {
            vectors.mask(0);
            fire(edu);
            Chips.await("the pending bit", () -> vectors.isPending(0));
            Thread.sleep(SHORT_MILLIS);
            assertThat(Chips.take(vcpu, 0x41)).as("masked, round %d", round).isFalse();
            vectors.unmask(0);
            Chips.awaitTaken(vcpu, 0x41);
            fire(edu);
            Chips.awaitTaken(vcpu, 0x41);
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void noMessageIsLostWhileItsVectorIsMaskedProgrammedAndUnmasked(VfioInterface by) {
        Vcpu vcpu = guest();
        GuestDevice device = attach(by, LabMachine.EDU);
        Edu edu = new Edu(device);
        edu.enableBusMaster();
        MsiVectors vectors = device.connectMsi(1);
        vectors.program(0, APIC, 0x41);
        for (int round = 0; round < 50; round++) {
            int step = round;
            Thread changing = Thread.ofPlatform().start(() -> {
                vectors.mask(0);
                vectors.program(0, APIC, 0x41 + step % 2);
                vectors.unmask(0);
            });
            fire(edu);
            Chips.await("the old or the new message", () -> Chips.take(vcpu, 0x41) || Chips.take(vcpu, 0x42));
            join(changing);
        }
    }

    private static void join(Thread thread) {
        try {
            thread.join();
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void everyVectorOfMsiXIsAnInterruptOfItsOwn(VfioInterface by) {
        Vcpu vcpu = guest();
        GuestDevice device = attach(by, LabMachine.NVME);
        Interrupt msiX = device.interrupt(Interrupt.MSIX);
        int count = Math.min(msiX.count(), 16);
        MsiVectors vectors = device.connectMsix(count);
        IntStream.range(0, count).forEach(i -> vectors.program(i, APIC, 0x40 + i));
        for (int i = 0; i < count; i++) {
            msiX.trigger(i);
            Chips.awaitTaken(vcpu, 0x40 + i);
            int fired = i;
            assertThat(IntStream.range(0, count).filter(other -> other != fired)).as("vector %d alone", i)
                    .noneMatch(other -> Chips.take(vcpu, 0x40 + other));
        }
    }

    private Handle connect(GuestDevice device, int index) {
        if (index == Interrupt.INTX) {
            return device.connectIntx(GSI);
        }
        MsiVectors vectors = device.connectMsi(1);
        try {
            vectors.program(0, APIC, 0x41);
            vectors.mask(0);
            vectors.unmask(0);
            return vectors;
        } catch (RuntimeException failure) {
            vectors.close();
            throw failure;
        }
    }

    /** Refuses each call in turn; after each the same must work, with the device's interrupt at the guest. */
    @ParameterizedTest
    @MethodSource(INTERFACES)
    void everyFailingCallOfAConnectUndoesTheOthers(VfioInterface by) {
        guest();
        GuestDevice device = attach(by, LabMachine.EDU);
        for (int index : List.of(Interrupt.INTX, Interrupt.MSI)) {
            connect(device, index).close();
            kernel.refuse(-1, null);
            Handle whole = connect(device, index);
            int calls = kernel.calls().size();
            List<String> held = HeldFiles.now();
            whole.close();
            assertThat(calls).isGreaterThanOrEqualTo(5);
            for (int i = 0; i < calls; i++) {
                kernel.refuse(i, Errno.ENXIO);
                assertThatThrownBy(() -> connect(device, index)).as("call %d: %s", i, kernel.calls())
                        .isInstanceOf(KernelException.class)
                        .extracting(failure -> ((KernelException) failure).errno()).isEqualTo(Errno.ENXIO);
                kernel.refuse(-1, null);
                Handle again = connect(device, index);
                assertThat(HeldFiles.now()).isEqualTo(held);
                again.close();
            }
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void anyOrderOfClosesLeavesNothing(VfioInterface by) {
        for (int first = 0; first < 3; first++) {
            Vm another = kvm.createVm();
            another.x86().createSplitIrqchip(24);
            AttachedDevice attached = AttachedDevice.request(kernel, PciAddress.parse(LabMachine.EDU)).via(by)
                    .attach(another);
            MsiVectors vectors = attached.device().connectMsi(1);
            vectors.program(0, APIC, 0x41);
            List.of(List.of(another, vectors, attached), List.of(vectors, attached, another),
                    List.of(attached, another, vectors)).get(first).forEach(Handle::close);
        }
    }
}
