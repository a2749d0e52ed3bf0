package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.it.kvm.WatchedKernel;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MemorySlot;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.Step;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.BoundGuestDevice;
import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.RegionMapping;
import dev.kvmvfio.vfio.RegisteredCdev;
import dev.kvmvfio.vfio.RegisteredGroup;
import dev.kvmvfio.vfio.VfioCdev;
import dev.kvmvfio.vfio.VfioContainer;
import dev.kvmvfio.vfio.VfioGroup;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What holds for attaching on every kernel, the mock and real ones. A subclass says which kernel and which device, and
 * proves after each test that nothing was left behind.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class AttachContract {
    static final long PAGE = 4096;
    static final long MEMORY = 16 * PAGE;

    WatchedKernel kernel;
    Kvm kvm;
    Vm vm;
    HostMemory ram;
    GuestMemory memory;

    /** The kernel to run on, in the state that each test begins with. */
    abstract Kernel start();

    /** Fails when anything is open, bound, registered or mapped that was not before {@link #start}. */
    abstract void assertNothingLeft();

    /** A device with a BAR that can be mapped and with MSI. */
    abstract PciAddress address();

    /** The interfaces that the kernel has. */
    abstract Stream<VfioInterface> interfaces();

    @BeforeEach
    final void open() {
        kernel = new WatchedKernel(start());
        kvm = Kvm.open(kernel);
        openVm();
    }

    private void openVm() {
        vm = kvm.createVm();
        ram = HostMemory.allocate(kernel, MEMORY);
        memory = GuestMemory.create(vm, 0, ram);
    }

    @AfterEach
    final void close() {
        kvm.close();
        ram.close();
        assertNothingLeft();
    }

    AttachedDevice attach(VfioInterface by) {
        return AttachedDevice.request(kernel, address()).via(by).attach(memory);
    }

    private int position(String call) {
        return kernel.calls().indexOf(call);
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void kvmHoldsTheFileBeforeTheDeviceIsOpened(VfioInterface by) {
        try (AttachedDevice attached = attach(by)) {
            String opens = by == VfioInterface.CDEV ? "VFIO_DEVICE_BIND_IOMMUFD" : "VFIO_GROUP_GET_DEVICE_FD";
            assertThat(position("KVM_DEV_VFIO_FILE_ADD")).isNotNegative().isLessThan(position(opens));
            assertThat(attached.device().vm()).isSameAs(vm);
        }
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void detachingTakesTheFileFromKvmBeforeItIsClosed(VfioInterface by) {
        attach(by).close();
        String file = kernel.calls().stream().filter(call -> call.matches("open /dev/vfio/(\\d+|devices/.*)"))
                .findFirst()
                .orElseThrow().replace("open", "close");
        assertThat(position("KVM_DEV_VFIO_FILE_DEL")).isNotNegative().isLessThan(position(file));
        if (by == VfioInterface.CDEV) {
            assertThat(position("VFIO_DEVICE_DETACH_IOMMUFD_PT")).isNotNegative()
                    .isLessThan(position("KVM_DEV_VFIO_FILE_DEL"));
        } else {
            assertThat(position("VFIO_GROUP_UNSET_CONTAINER")).isBetween(position("KVM_DEV_VFIO_FILE_DEL"),
                    position(file));
            assertThat(position(file)).isLessThan(position("close /dev/vfio/vfio"));
        }
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void theDeviceCanBeAttachedAgain(VfioInterface by) {
        attach(by).close();
        attach(by).close();
    }

    @Test
    void eitherInterfaceIsFreeAfterTheOther() {
        interfaces().forEach(first -> {
            attach(first).close();
            interfaces().forEach(second -> attach(second).close());
        });
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void stepsAreToldAndTakenBackInReverse(VfioInterface by) {
        List<Step> steps = new ArrayList<>();
        AttachedDevice.request(kernel, address()).via(by).watch(steps::add).attach(memory).close();
        List<String> done = steps.stream().filter(step -> !step.isUndo()).map(Step::call).toList();
        List<String> undone = steps.stream().filter(Step::isUndo).map(Step::call).toList();
        if (by == VfioInterface.CDEV) {
            assertThat(done).containsExactly("KVM_CREATE_DEVICE", "open", "open", "KVM_DEV_VFIO_FILE_ADD",
                    "VFIO_DEVICE_BIND_IOMMUFD", "IOMMU_IOAS_ALLOC", "VFIO_DEVICE_ATTACH_IOMMUFD_PT", "IOMMU_IOAS_MAP");
            assertThat(undone).containsExactly("IOMMU_IOAS_UNMAP", "VFIO_DEVICE_DETACH_IOMMUFD_PT", "IOMMU_DESTROY",
                    "KVM_DEV_VFIO_FILE_DEL", "close", "close", "close");
        } else {
            assertThat(done).containsExactly("KVM_CREATE_DEVICE", "open", "open", "VFIO_GROUP_SET_CONTAINER",
                    "VFIO_SET_IOMMU", "KVM_DEV_VFIO_GROUP_ADD", "VFIO_GROUP_GET_DEVICE_FD", "VFIO_IOMMU_MAP_DMA");
            assertThat(undone).containsExactly("VFIO_IOMMU_UNMAP_DMA", "KVM_DEV_VFIO_GROUP_DEL",
                    "VFIO_GROUP_UNSET_CONTAINER", "close", "close", "close");
        }
    }

    /** Refuses each call in turn, so that every step fails once; after each the host must be as it was. */
    @ParameterizedTest
    @MethodSource("interfaces")
    void everyFailingStepUndoesTheOthers(VfioInterface by) {
        attach(by).close();
        kernel.refuse(-1, null);
        AttachedDevice whole = attach(by);
        int calls = kernel.calls().size();
        whole.close();
        assertThat(calls).isGreaterThanOrEqualTo(8);
        for (int i = 0; i < calls; i++) {
            kernel.refuse(i, Errno.ENXIO);
            assertThatThrownBy(() -> attach(by)).as("call %d: %s", i, kernel.calls())
                    .isInstanceOf(KernelException.class)
                    .extracting(failure -> ((KernelException) failure).errno()).isEqualTo(Errno.ENXIO);
            kernel.refuse(-1, null);
            attach(by).close();
        }
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void everyFailingCallOfADetachStillGivesEverythingBack(VfioInterface by) {
        kernel.refuse(-1, null);
        AttachedDevice whole = attach(by);
        int attaching = kernel.calls().size();
        whole.close();
        int all = kernel.calls().size();
        for (int i = attaching; i < all; i++) {
            kernel.refuse(i, Errno.EIO);
            AttachedDevice attached = attach(by);
            String call;
            try {
                attached.close();
                call = "";
            } catch (KernelException refused) {
                assertThat(refused.errno()).isEqualTo(Errno.EIO);
                call = refused.operation();
            }
            assertThat(call.isEmpty()).as("only closes cannot fail: %s", kernel.calls().get(i))
                    .isEqualTo(kernel.calls().get(i).startsWith("close"));
            kernel.refuse(-1, null);
            vm.close();
            ram.close();
            openVm();
            attach(by).close();
        }
    }

    private GuestDevice openByHand(VfioInterface by, KvmVfioDevice kvmVfio, List<AutoCloseable> owners) {
        PciDevice pci = PciDevice.find(kernel, address());
        if (by == VfioInterface.CDEV) {
            Iommufd iommufd = Iommufd.open(kernel);
            owners.add(iommufd);
            VfioCdev cdev = VfioCdev.open(pci);
            owners.add(cdev);
            RegisteredCdev registered = kvmVfio.add(cdev);
            BoundGuestDevice device = registered.bind(iommufd);
            Ioas ioas = iommufd.allocateIoas();
            device.attach(ioas);
            memory.mapInto(ioas);
            return device;
        }
        VfioGroup group = VfioGroup.open(pci.iommuGroup().orElseThrow());
        owners.add(group);
        VfioContainer container = VfioContainer.open(group);
        owners.add(container);
        memory.mapInto(container);
        RegisteredGroup registered = kvmVfio.add(group);
        return registered.openDevice(container, pci.address());
    }

    /** Whatever is closed first, everything else can still be closed, and nothing is left. */
    @ParameterizedTest
    @MethodSource("interfaces")
    void anyOrderOfClosingWorks(VfioInterface by) {
        for (int first = 0; first < 6; first++) {
            List<AutoCloseable> owners = new ArrayList<>();
            KvmVfioDevice kvmVfio = KvmVfioDevice.create(vm);
            GuestDevice device = openByHand(by, kvmVfio, owners);
            RegionMapping bar = device.region(Region.BAR0).map();
            MemorySlot slot = vm.memory().add(1 << 28, bar);
            EventFd eventFd = EventFd.create(kernel);
            device.interrupt(Interrupt.MSI).enable(eventFd);
            owners.addAll(List.of(kvmVfio, device, vm, bar));
            closeQuietly(owners.get(first));
            owners.forEach(AttachContract::closeQuietly);
            eventFd.close();
            assertThat(slot.isOpen()).isFalse();
            assertThatThrownBy(() -> bar.readInt(0)).isInstanceOf(IllegalStateException.class);
            assertThat(ram.isOpen()).isTrue();
            ram.close();
            openVm();
            assertNoneOpen();
        }
    }

    private static void closeQuietly(AutoCloseable owner) {
        try {
            owner.close();
        } catch (Exception failure) {
            throw new AssertionError(owner + " does not close", failure);
        }
    }

    /** A second attach proves it: a group opens only once, and a device is bound only once. */
    private void assertNoneOpen() {
        interfaces().forEach(by -> attach(by).close());
    }
}
