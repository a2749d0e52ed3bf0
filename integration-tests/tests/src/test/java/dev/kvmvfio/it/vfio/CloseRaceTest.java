package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.BoundGuestDevice;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.RegionMapping;
import dev.kvmvfio.vfio.RegisteredCdev;
import dev.kvmvfio.vfio.RegisteredGroup;
import dev.kvmvfio.vfio.VfioCdev;
import dev.kvmvfio.vfio.VfioContainer;
import dev.kvmvfio.vfio.VfioDevice;
import dev.kvmvfio.vfio.VfioGroup;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Two threads close two handles of one attached device at the same time, each with each. */
@Tag("mock")
class CloseRaceTest {
    private static final int ROUNDS = 3;

    /** Everything that is open for a device, owners before what they own. */
    private static List<Handle> open(MockKernel mock, VfioInterface by) {
        PciDevice pci = PciDevice.find(mock, PciAddress.parse("0000:6a:01.0"));
        HostMemory memory = HostMemory.allocate(mock, 1 << 16);
        EventFd eventFd = EventFd.create(mock);
        Kvm kvm = Kvm.open(mock);
        Vm vm = kvm.createVm();
        KvmVfioDevice kvmVfio = KvmVfioDevice.create(vm);
        List<Handle> handles = new ArrayList<>(List.of(kvm, vm, kvmVfio, vm.memory().add(0, memory)));
        VfioDevice device;
        if (by == VfioInterface.CDEV) {
            Iommufd iommufd = Iommufd.open(mock);
            VfioCdev cdev = VfioCdev.open(pci);
            RegisteredCdev registered = kvmVfio.add(cdev);
            BoundGuestDevice bound = registered.bind(iommufd);
            Ioas ioas = iommufd.allocateIoas();
            handles.addAll(
                    List.of(iommufd, cdev, registered, bound, ioas, bound.attach(ioas), ioas.map(0, memory)));
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
        handles.addAll(List.of(bar, vm.memory().add(1 << 28, bar), memory, eventFd));
        return handles;
    }

    @ParameterizedTest
    @EnumSource
    void bothCloseAndNothingIsLeft(VfioInterface by) throws Exception {
        int last = by == VfioInterface.CDEV ? 13 : 11;
        for (int one = 0; one < last; one++) {
            for (int other = one + 1; other < last; other++) {
                for (int round = 0; round < ROUNDS; round++) {
                    race(by, one, other);
                }
            }
        }
    }

    private static void race(VfioInterface by, int one, int other) throws Exception {
        try (MockKernel mock = MockKernel.example()) {
            List<Handle> handles = open(mock, by);
            List<Handle> racing = List.of(handles.get(one), handles.get(other));
            CyclicBarrier start = new CyclicBarrier(2);
            List<FutureTask<Boolean>> closes = racing.stream().map(handle -> new FutureTask<>(() -> {
                start.await();
                handle.close();
                return handle.isOpen();
            })).toList();
            closes.forEach(Thread::startVirtualThread);
            for (FutureTask<Boolean> close : closes) {
                assertThat(close.get(30, TimeUnit.SECONDS)).as("%s", racing).isFalse();
            }
            handles.forEach(Handle::close);
        }
    }
}
