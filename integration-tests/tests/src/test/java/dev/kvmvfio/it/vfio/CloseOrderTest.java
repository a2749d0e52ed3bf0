package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.SystemCall;
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
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
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
    private static final int RANDOM_ORDERS = 5000;
    private static final PciAddress ADDRESS = PciAddress.parse("0000:6a:01.0");

    /** What makes something, by what takes it back. Where several make the same, the first is named. */
    private static final Map<String, String> PAIRS = Map.ofEntries(Map.entry("mmap", "munmap"),
            Map.entry("IOMMU_IOAS_MAP", "IOMMU_IOAS_UNMAP"), Map.entry("IOMMU_IOAS_ALLOC", "IOMMU_DESTROY"),
            Map.entry("VFIO_IOMMU_MAP_DMA", "VFIO_IOMMU_UNMAP_DMA"),
            Map.entry("VFIO_DEVICE_ATTACH_IOMMUFD_PT", "VFIO_DEVICE_DETACH_IOMMUFD_PT"),
            Map.entry("VFIO_GROUP_SET_CONTAINER", "VFIO_GROUP_UNSET_CONTAINER"));

    /** Everything that can be open for a device, made step by step. */
    private static List<Handle> byHand(MockKernel mock, VfioInterface by) {
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
    private static List<Handle> attached(MockKernel mock, VfioInterface by) {
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

    private static void close(VfioInterface by, BiFunction<MockKernel, VfioInterface, List<Handle>> world,
            List<Integer> order, int threads) throws Exception {
        try (MockKernel mock = MockKernel.example()) {
            List<Handle> handles = world.apply(mock, by);
            int made = mock.trace().size();
            List<Handle> ordered = order.stream().filter(i -> i < handles.size()).map(handles::get).toList();
            CyclicBarrier start = new CyclicBarrier(threads);
            List<FutureTask<Boolean>> closes = IntStream.range(0, threads).mapToObj(thread -> new FutureTask<>(() -> {
                start.await();
                for (int i = thread; i < ordered.size(); i += threads) {
                    ordered.get(i).close();
                }
                return true;
            })).toList();
            if (threads == 1) {
                closes.getFirst().run();
            } else {
                closes.forEach(Thread::startVirtualThread);
            }
            for (FutureTask<Boolean> close : closes) {
                assertThat(close.get(30, TimeUnit.SECONDS)).as("%s", ordered).isTrue();
            }
            handles.forEach(Handle::close);
            List<SystemCall> trace = mock.trace();
            assertThat(trace.subList(made, trace.size())).as("closing %s", ordered)
                    .noneMatch(call -> call.result() < 0);
            assertGivenBackOnce(trace);
            assertThat(mock.leaks()).as("closing %s", ordered).isEmpty();
        }
    }

    private static void assertGivenBackOnce(List<SystemCall> trace) {
        Map<String, Integer> count = new HashMap<>();
        trace.stream().filter(call -> call.result() >= 0)
                .forEach(call -> count.merge(call.name(), 1, Integer::sum));
        PAIRS.forEach((making, undoing) -> assertThat(count.getOrDefault(undoing, 0)).as("%s %s", undoing, trace)
                .isEqualTo(count.getOrDefault(making, 0)));
    }

    private static List<Integer> all() {
        return new ArrayList<>(IntStream.range(0, 24).boxed().toList());
    }

    @ParameterizedTest
    @EnumSource
    void eachPairInBothOrders(VfioInterface by) throws Exception {
        for (int one : all()) {
            for (int other : all()) {
                close(by, CloseOrderTest::byHand, List.of(one, other), 1);
                close(by, CloseOrderTest::attached, List.of(one, other), 1);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void eachPairByTwoThreads(VfioInterface by) throws Exception {
        for (int one : all()) {
            for (int other : all()) {
                close(by, CloseOrderTest::byHand, List.of(one, other), 2);
                close(by, CloseOrderTest::attached, List.of(one, other), 2);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void randomOrders(VfioInterface by) throws Exception {
        Random random = new Random(11);
        List<Integer> order = all();
        for (int i = 0; i < RANDOM_ORDERS; i++) {
            Collections.shuffle(order, random);
            close(by, i % 2 == 0 ? CloseOrderTest::byHand : CloseOrderTest::attached, order, 1 + i % 3);
        }
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
