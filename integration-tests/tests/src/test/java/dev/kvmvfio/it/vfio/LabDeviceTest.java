package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.it.kvm.HeldFiles;
import dev.kvmvfio.it.lab.LabMachine;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.RegionMapping;
import dev.kvmvfio.vfio.VfioDevice;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What an attached device does: registers, DMA and interrupts of a real device behind a real IOMMU. */
@Tag("in-lab")
class LabDeviceTest {
    private static final String INTERFACES = "dev.kvmvfio.it.lab.LabMachine#interfaces";
    private static final long IOVA = 1 << 20;
    private static final long SIZE = 16 * Edu.BUFFER_SIZE;
    private static final Duration LONG = Duration.ofSeconds(60);
    private static final Duration SHORT = Duration.ofMillis(300);

    private Kvm kvm;
    private Vm vm;
    private HostMemory ram;
    private GuestMemory memory;

    @BeforeEach
    void open() {
        kvm = Kvm.open();
        vm = kvm.createVm();
        ram = HostMemory.allocate(Kernel.linux(), SIZE);
        memory = GuestMemory.create(vm, IOVA, ram);
    }

    @AfterEach
    void close() {
        kvm.close();
        ram.close();
        assertThat(HeldFiles.now()).isEmpty();
    }

    private AttachedDevice attach(VfioInterface by) {
        return AttachedDevice.request(Kernel.linux(), PciAddress.parse(LabMachine.EDU)).via(by).attach(memory);
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void identityIsReadThroughAMappedBar(VfioInterface by) {
        try (AttachedDevice attached = attach(by)) {
            Edu edu = new Edu(attached.device());
            assertThat(edu.identity()).isEqualTo(Edu.IDENTITY);
            assertThat(edu.liveness(0x1234)).isEqualTo(~0x1234);
            assertThat(attached.device().vendorId()).isEqualTo(0x1234);
            assertThat(attached.device().deviceId()).isEqualTo(0x11e8);
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void regionsAndInterruptsAreWhatTheDeviceHas(VfioInterface by) {
        try (AttachedDevice attached = attach(by)) {
            Region bar = attached.device().region(Region.BAR0);
            assertThat(bar.size()).isEqualTo(1 << 20);
            assertThat(bar.access()).containsExactly("read", "write", "mmap");
            assertThat(bar.readInt(0)).isEqualTo(Edu.IDENTITY);
            assertThat(attached.device().interrupt(Interrupt.INTX).count()).isEqualTo(1);
            assertThat(attached.device().interrupt(Interrupt.INTX).isAutomasked()).isTrue();
            assertThat(attached.device().interrupt(Interrupt.MSI).count()).isEqualTo(1);
            assertThat(attached.device().interrupt(Interrupt.MSIX).count()).isZero();
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void dmaGoesFromGuestMemoryThroughTheDeviceAndBack(VfioInterface by) {
        try (AttachedDevice attached = attach(by)) {
            Edu edu = new Edu(attached.device());
            edu.enableBusMaster();
            MemorySegment source = fill(0, 0x5a);
            edu.read(IOVA, Edu.BUFFER_SIZE);
            edu.write(IOVA + Edu.BUFFER_SIZE, Edu.BUFFER_SIZE);
            assertThat(source.mismatch(page(1))).isEqualTo(-1);
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void dmaToAnAddressThatIsNotMappedDoesNotLand(VfioInterface by) {
        try (AttachedDevice attached = attach(by)) {
            Edu edu = new Edu(attached.device());
            edu.enableBusMaster();
            fill(0, 0x11);
            edu.read(IOVA, Edu.BUFFER_SIZE);
            attached.dmaSpace().mappings().getFirst().close();
            edu.write(IOVA + Edu.BUFFER_SIZE, Edu.BUFFER_SIZE);
            assertThat(page(1).mismatch(fill(2, 0))).isEqualTo(-1);
            attached.dmaSpace().map(IOVA, ram);
            edu.write(IOVA + Edu.BUFFER_SIZE, Edu.BUFFER_SIZE);
            assertThat(page(1).mismatch(page(0))).isEqualTo(-1);
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void aDeviceThatIsNoBusMasterDoesNoDma(VfioInterface by) {
        try (AttachedDevice attached = attach(by)) {
            Edu edu = new Edu(attached.device());
            edu.enableBusMaster();
            fill(0, 0x77);
            edu.read(IOVA, Edu.BUFFER_SIZE);
            Region config = attached.device().region(Region.CONFIG);
            config.writeShort(4, (short) (config.readShort(4) & ~4));
            edu.write(IOVA + Edu.BUFFER_SIZE, Edu.BUFFER_SIZE);
            assertThat(page(1).mismatch(fill(2, 0))).isEqualTo(-1);
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void intxArrivesOnAnEventfdOncePerUnmask(VfioInterface by) {
        try (AttachedDevice attached = attach(by); EventFd fired = EventFd.create(Kernel.linux())) {
            Edu edu = new Edu(attached.device());
            Interrupt intx = attached.device().interrupt(Interrupt.INTX);
            intx.enable(fired);
            edu.raiseInterrupt(1);
            assertThat(fired.await(LONG)).isEqualTo(1);
            assertThat(edu.interruptStatus()).isEqualTo(1);
            intx.unmask();
            assertThat(fired.await(LONG)).as("the line is still up").isEqualTo(1);
            edu.acknowledgeInterrupt(1);
            intx.unmask();
            assertThat(fired.await(SHORT)).as("the line is down").isZero();
            intx.mask();
            edu.raiseInterrupt(2);
            assertThat(fired.await(SHORT)).as("the line is masked").isZero();
            intx.unmask();
            assertThat(fired.await(LONG)).isEqualTo(1);
            edu.acknowledgeInterrupt(2);
            intx.disable();
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void intxIsUnmaskedByAnEventfd(VfioInterface by) {
        try (AttachedDevice attached = attach(by);
                EventFd fired = EventFd.create(Kernel.linux());
                EventFd resample = EventFd.create(Kernel.linux())) {
            Edu edu = new Edu(attached.device());
            Interrupt intx = attached.device().interrupt(Interrupt.INTX);
            intx.enable(fired);
            intx.unmaskOn(resample);
            edu.raiseInterrupt(1);
            assertThat(fired.await(LONG)).isEqualTo(1);
            resample.signal();
            assertThat(fired.await(LONG)).as("the line is still up").isEqualTo(1);
            edu.acknowledgeInterrupt(1);
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void msiArrivesOnAnEventfd(VfioInterface by) {
        try (AttachedDevice attached = attach(by); EventFd fired = EventFd.create(Kernel.linux())) {
            Edu edu = new Edu(attached.device());
            edu.enableBusMaster();
            Interrupt msi = attached.device().interrupt(Interrupt.MSI);
            msi.enable(fired);
            edu.raiseInterrupt(1);
            assertThat(fired.await(LONG)).isEqualTo(1);
            edu.acknowledgeInterrupt(1);
            msi.trigger(0);
            assertThat(fired.await(LONG)).isEqualTo(1);
            msi.disable();
            assertThatThrownBy(() -> msi.trigger(0)).isInstanceOf(KernelException.class);
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void onlyOneKindOfInterruptIsEnabledAtATime(VfioInterface by) {
        try (AttachedDevice attached = attach(by); EventFd fired = EventFd.create(Kernel.linux())) {
            attached.device().interrupt(Interrupt.INTX).enable(fired);
            assertThatThrownBy(() -> attached.device().interrupt(Interrupt.MSI).enable(fired))
                    .isInstanceOfSatisfying(KernelException.class,
                            refused -> assertThat(refused.errno()).isEqualTo(Errno.EINVAL));
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void eduHasNoReset(VfioInterface by) {
        try (AttachedDevice attached = attach(by)) {
            assertThat(attached.device().canReset()).isFalse();
            assertThatThrownBy(() -> attached.device().reset()).hasMessageContaining("no reset of its own");
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void aDeviceWithAResetIsReset(VfioInterface by) {
        try (AttachedDevice attached = AttachedDevice.request(Kernel.linux(), PciAddress.parse(LabMachine.NVME)).via(by)
                .attach(vm)) {
            assertThat(attached.device().canReset()).isTrue();
            attached.device().reset();
            assertThat(attached.device().interrupt(Interrupt.MSIX).count()).isPositive();
        }
    }

    /** A reset is the device's: what the kernel keeps for it stays. */
    @ParameterizedTest
    @MethodSource(INTERFACES)
    void anInterruptStaysEnabledOverAReset(VfioInterface by) {
        try (AttachedDevice attached = AttachedDevice.request(Kernel.linux(), PciAddress.parse(LabMachine.NETWORK))
                .via(by)
                .attach(vm); EventFd fired = EventFd.create(Kernel.linux())) {
            NetworkCard card = new NetworkCard(attached.device());
            attached.device().interrupt(Interrupt.MSI).enable(fired);
            card.allowInterrupts();
            card.raiseInterrupt();
            assertThat(fired.await(LONG)).isPositive();
            attached.device().reset();
            fired.take();
            card.allowInterrupts();
            card.raiseInterrupt();
            assertThat(fired.await(LONG)).isPositive();
        }
    }

    /** The registers of an e1000e that make it interrupt. */
    private static final class NetworkCard {
        private static final int LINK_CHANGED = 4;
        private static final short BUS_MASTER = 4;

        private final RegionMapping registers;

        NetworkCard(VfioDevice device) {
            Region config = device.region(Region.CONFIG);
            config.writeShort(4, (short) (config.readShort(4) | BUS_MASTER));
            registers = device.region(Region.BAR0).map();
        }

        void allowInterrupts() {
            registers.writeInt(0xd0, LINK_CHANGED);
        }

        void raiseInterrupt() {
            registers.readInt(0xc0);
            registers.writeInt(0xc8, LINK_CHANGED);
        }
    }

    private MemorySegment page(int number) {
        return ram.segment().asSlice(number * Edu.BUFFER_SIZE, Edu.BUFFER_SIZE);
    }

    private MemorySegment fill(int number, int seed) {
        MemorySegment page = page(number);
        for (int i = 0; i < page.byteSize() && seed != 0; i++) {
            page.set(ValueLayout.JAVA_BYTE, i, (byte) (seed + i * 7));
        }
        return page;
    }
}
