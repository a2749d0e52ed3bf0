package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.it.kvm.CloseOrders;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MsiRoute;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.BoundGuestDevice;
import dev.kvmvfio.vfio.GuestBar;
import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.MsiVectors;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.RegionMapping;
import dev.kvmvfio.vfio.RegisteredCdev;
import dev.kvmvfio.vfio.RegisteredGroup;
import dev.kvmvfio.vfio.VfioCdev;
import dev.kvmvfio.vfio.VfioContainer;
import dev.kvmvfio.vfio.VfioGroup;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Handles are closed in any order, by one thread and by several: nothing throws, the kernel refuses nothing, and each
 * thing is given back once.
 */
@Tag("mock")
class CloseOrderTest {
    private static final int RANDOM_ORDERS = 2500;
    private static final PciAddress ADDRESS = PciAddress.parse("0000:6a:01.0");

    /** Everything that can be open for a device, made step by step. */
    private static List<Handle> byHand(Kernel mock, VfioInterface by) {
        PciDevice pci = PciDevice.find(mock, ADDRESS);
        HostMemory memory = HostMemory.allocate(mock, 1 << 16);
        EventFd eventFd = EventFd.create(mock);
        EventFd trigger = EventFd.create(mock);
        Kvm kvm = Kvm.open(mock);
        Vm vm = kvm.createVm();
        vm.interrupts().createIrqchip();
        KvmVfioDevice kvmVfio = KvmVfioDevice.create(vm);
        MsiRoute route = vm.interrupts().routes().addMsi(0xfee0_0000L, 0x41);
        List<Handle> handles = new ArrayList<>(List.of(kvm, vm, kvmVfio, kvmVfio.kvmDevice(), vm.createVcpu(0),
                memory, vm.memory().add(0, memory), eventFd, trigger, route,
                vm.interrupts().addIrqFd(trigger, route.gsi())));
        GuestDevice device;
        if (by == VfioInterface.CDEV) {
            Iommufd iommufd = Iommufd.open(mock);
            VfioCdev cdev = VfioCdev.open(pci);
            RegisteredCdev registered = kvmVfio.add(cdev);
            BoundGuestDevice bound = registered.bind(iommufd);
            Ioas ioas = iommufd.allocateIoas();
            handles.addAll(List.of(iommufd, cdev, registered, bound, ioas, bound.attach(ioas), ioas.map(0, memory)));
            device = bound;
        } else {
            VfioGroup group = VfioGroup.open(pci.iommuGroup().orElseThrow());
            VfioContainer container = VfioContainer.open(group);
            RegisteredGroup registered = kvmVfio.add(group);
            device = registered.openDevice(container, pci.address());
            handles.addAll(List.of(group, container, registered, device, container.map(0, memory)));
        }
        RegionMapping bar = device.region(Region.BAR0).map();
        device.interrupt(Interrupt.MSI).enable(eventFd);
        handles.addAll(List.of(bar, vm.memory().add(1 << 28, bar)));
        return handles;
    }

    /** The same in a few calls. */
    private static List<Handle> attached(Kernel mock, VfioInterface by) {
        HostMemory memory = HostMemory.allocate(mock, 1 << 16);
        HostMemory more = HostMemory.allocate(mock, 1 << 16);
        Kvm kvm = Kvm.open(mock);
        Vm vm = kvm.createVm();
        vm.interrupts().createIrqchip();
        GuestMemory guestMemory = GuestMemory.create(vm, 0, memory);
        AttachedDevice attached = AttachedDevice.request(mock, ADDRESS).via(by).attach(guestMemory);
        GuestMemory.Block block = guestMemory.add(1 << 20, more);
        GuestBar bar = attached.device().mapBar(0);
        bar.place(1 << 28);
        MsiVectors vectors = attached.device().connectMsi(1);
        vectors.program(0, 0xfee0_0000L, 0x41);
        return List.of(kvm, vm, memory, more, guestMemory, attached, attached.device(), attached.dmaSpace(), block,
                block.slot(), bar, vectors, vm.createVcpu(0));
    }

    private interface Closing {
        void apply(MockKernel mock, CloseOrders orders) throws Exception;
    }

    private static void check(VfioInterface by, Closing closing) throws Exception {
        int cdevHasMore = by == VfioInterface.CDEV ? 2 : 0;
        for (CloseOrders orders : List.of(new CloseOrders(kernel -> byHand(kernel, by), 18 + cdevHasMore),
                new CloseOrders(kernel -> attached(kernel, by), 13))) {
            try (MockKernel mock = MockKernel.example()) {
                closing.apply(mock, orders);
                assertThat(mock.leaks()).isEmpty();
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void eachPairInBothOrders(VfioInterface by) throws Exception {
        check(by, (mock, orders) -> orders.pairs(mock, 1));
    }

    @ParameterizedTest
    @EnumSource
    void eachPairByTwoThreads(VfioInterface by) throws Exception {
        check(by, (mock, orders) -> orders.pairs(mock, 2));
    }

    @ParameterizedTest
    @EnumSource
    void randomOrders(VfioInterface by) throws Exception {
        check(by, (mock, orders) -> orders.random(mock, RANDOM_ORDERS));
    }

    /** The first program that anyone writes. */
    @Test
    void memoryThatIsClosedBeforeItsVm() {
        try (MockKernel mock = MockKernel.example()) {
            try (Kvm kvm = Kvm.open(mock);
                    Vm vm = kvm.createVm();
                    HostMemory ram = HostMemory.allocate(mock, 1 << 20)) {
                vm.memory().add(0, ram);
            }
            assertThat(mock.leaks()).isEmpty();
        }
    }
}
