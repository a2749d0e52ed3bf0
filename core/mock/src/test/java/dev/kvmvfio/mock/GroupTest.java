package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.vfio.vfio_group_status;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.model.KernelProfile;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Groups: who may open them, what they need before they give a device, and how long they stay. */
class GroupTest {
    private static final int TYPE1V2 = vfio_h.VFIO_TYPE1v2_IOMMU();
    private static final int VIABLE = vfio_h.VFIO_GROUP_FLAGS_VIABLE();
    private static final int SET = vfio_h.VFIO_GROUP_FLAGS_CONTAINER_SET();
    private static final String DEVICE = "0000:6a:01.0";

    private MockKernel kernel;
    private Calls calls;

    @BeforeEach
    void start() {
        kernel = MockKernel.example();
        calls = new Calls(kernel);
    }

    @AfterEach
    void close() {
        kernel.close();
    }

    @Test
    void oneOpenAtATime() {
        int group = calls.open("/dev/vfio/26");
        assertThat(errno(calls.open("/dev/vfio/26"))).isEqualTo(Errno.EBUSY);
        int copy = kernel.dup(group);
        kernel.close(group);
        assertThat(errno(calls.open("/dev/vfio/26"))).as("the copy is open").isEqualTo(Errno.EBUSY);
        kernel.close(copy);
        group = calls.open("/dev/vfio/26");
        assertThat(group).isNotNegative();
        kernel.close(group);
        assertThat(errno(calls.open("/dev/vfio/29"))).as("no VFIO driver").isEqualTo(Errno.ENOENT);
    }

    @Test
    void status() {
        int group = calls.open("/dev/vfio/26");
        int container = calls.open("/dev/vfio/vfio");
        assertThat(calls.status(group)).isEqualTo(VIABLE);
        assertThat(calls.setContainer(group, container)).isZero();
        assertThat(calls.status(group)).isEqualTo(VIABLE | SET);
        assertThat(errno(kernel.ioctl(group, vfio_h.VFIO_GROUP_GET_STATUS(), 8))).isEqualTo(Errno.EFAULT);
        MemorySegment shorter = calls.struct(vfio_group_status.layout());
        vfio_group_status.argsz(shorter, 7);
        assertThat(errno(kernel.ioctl(group, vfio_h.VFIO_GROUP_GET_STATUS(), shorter))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.ioctl(group, 0x3b99, 0))).isEqualTo(Errno.ENOTTY);
        calls.close(group, container);
    }

    @Test
    void aGroupWithADeviceOfTheHostIsNotViable() {
        int group = calls.open("/dev/vfio/28");
        int container = calls.open("/dev/vfio/vfio");
        assertThat(calls.status(group)).isZero();
        assertThat(errno(calls.setContainer(group, container))).isEqualTo(Errno.EPERM);
        assertThat(errno(calls.deviceFd(group, "0000:6c:00.0"))).isEqualTo(Errno.EINVAL);
        calls.close(group, container);
    }

    @Test
    void aDriverThatLeavesDmaAloneDoesNotStandInTheWay() {
        try (MockKernel host = MockKernel.host(KernelProfile.V6_12).device("0000:00:01.0", d -> d.group(1))
                .device("0000:00:01.1", d -> d.group(1).driver("pcieport"))
                .device("0000:00:01.2", d -> d.group(1).withoutDriver()).start()) {
            Calls other = new Calls(host);
            int group = other.open("/dev/vfio/1");
            assertThat(other.status(group)).isEqualTo(VIABLE);
            host.close(group);
        }
    }

    @Test
    void theContainerIsSetOnce() {
        int group = calls.open("/dev/vfio/26");
        int container = calls.open("/dev/vfio/vfio");
        int unset = vfio_h.VFIO_GROUP_UNSET_CONTAINER();
        assertThat(errno(kernel.ioctl(group, vfio_h.VFIO_GROUP_SET_CONTAINER(), 8))).isEqualTo(Errno.EFAULT);
        assertThat(errno(calls.setContainer(group, 1000))).isEqualTo(Errno.EBADF);
        assertThat(errno(kernel.ioctl(group, unset, 0))).isEqualTo(Errno.EINVAL);
        assertThat(calls.setContainer(group, container)).isZero();
        assertThat(errno(calls.setContainer(group, container))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.setContainer(group, 1000))).as("the number comes first").isEqualTo(Errno.EBADF);
        assertThat(kernel.ioctl(group, unset, 0)).isZero();
        assertThat(calls.setContainer(group, container)).isZero();
        calls.close(group, container);
    }

    @ParameterizedTest
    @EnumSource(KernelProfile.class)
    void aFileThatIsNoContainer(KernelProfile profile) {
        try (MockKernel host = MockKernel.host(profile).device(DEVICE, d -> d.group(26)).start()) {
            Calls other = new Calls(host);
            int group = other.open("/dev/vfio/26");
            int eventFd = other.eventFd();
            assertThat(errno(other.setContainer(group, eventFd)))
                    .isEqualTo(profile == KernelProfile.V6_1 ? Errno.EINVAL : Errno.EBADFD);
            other.close(group, eventFd);
        }
    }

    @Test
    void aDeviceNeedsContainerAndIommu() {
        int group = calls.open("/dev/vfio/26");
        int container = calls.open("/dev/vfio/vfio");
        assertThat(errno(kernel.ioctl(group, vfio_h.VFIO_GROUP_GET_DEVICE_FD(), 8))).isEqualTo(Errno.EFAULT);
        assertThat(errno(calls.deviceFd(group, "0000:6b:00.0"))).as("of another group").isEqualTo(Errno.ENODEV);
        assertThat(errno(calls.deviceFd(group, DEVICE + "x"))).isEqualTo(Errno.ENODEV);
        assertThat(errno(calls.deviceFd(group, DEVICE + " vf_token=1"))).as("an option").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.deviceFd(group, DEVICE))).as("no container").isEqualTo(Errno.EINVAL);
        calls.setContainer(group, container);
        assertThat(errno(calls.deviceFd(group, DEVICE))).as("no IOMMU driver").isEqualTo(Errno.EINVAL);
        kernel.ioctl(container, vfio_h.VFIO_SET_IOMMU(), TYPE1V2);
        int device = calls.deviceFd(group, DEVICE);
        assertThat(device).isNotNegative();
        int again = calls.deviceFd(group, DEVICE);
        assertThat(again).as("opened again").isGreaterThan(device);
        calls.close(device, again, group, container);
    }

    @Test
    void anOpenDeviceKeepsTheGroup() {
        int[] files = calls.openGroup(26, TYPE1V2);
        int device = calls.deviceFd(files[0], DEVICE);
        int unset = vfio_h.VFIO_GROUP_UNSET_CONTAINER();
        assertThat(errno(kernel.ioctl(files[0], unset, 0))).isEqualTo(Errno.EBUSY);
        calls.close(files);
        assertThat(errno(calls.open("/dev/vfio/26"))).isEqualTo(Errno.EBUSY);
        kernel.close(device);
        int group = calls.open("/dev/vfio/26");
        assertThat(group).isNotNegative();
        kernel.close(group);
    }

    @Test
    void aMappedBarKeepsTheGroup() {
        int[] files = calls.openGroup(26, TYPE1V2);
        int device = calls.deviceFd(files[0], DEVICE);
        long bar = calls.mapBar(device, 0, 0, 4096);
        assertThat(bar).isPositive();
        calls.close(device);
        calls.close(files);
        assertThat(errno(calls.open("/dev/vfio/26"))).isEqualTo(Errno.EBUSY);
        assertThat(kernel.munmap(bar, 4096)).isZero();
        int group = calls.open("/dev/vfio/26");
        assertThat(group).isNotNegative();
        kernel.close(group);
    }

    @Test
    void kvmKeepsTheGroup() {
        int kvm = calls.open("/dev/kvm");
        int vm = calls.createVm(kvm);
        int device = calls.createVfioDevice(vm);
        int group = calls.open("/dev/vfio/26");
        assertThat(calls.fileAdd(device, group)).isZero();
        assertThat(errno(calls.fileAdd(device, group))).isEqualTo(Errno.EEXIST);
        int copy = kernel.dup(group);
        assertThat(errno(calls.fileAdd(device, copy))).as("the same file").isEqualTo(Errno.EEXIST);
        calls.close(group, copy);
        assertThat(errno(calls.open("/dev/vfio/26"))).isEqualTo(Errno.EBUSY);
        assertThat(kernel.leaks()).anyMatch(leak -> leak.contains("KVM holds /dev/vfio/26"));
        kernel.close(device);
        group = calls.open("/dev/vfio/26");
        assertThat(group).isNotNegative();
        calls.close(group, vm, kvm);
    }

    @Test
    void aDeviceKnowsTheVmThatItsGroupKnewFirst() {
        int kvm = calls.open("/dev/kvm");
        int vm = calls.createVm(kvm);
        int kvmVfio = calls.createVfioDevice(vm);
        int[] files = calls.openGroup(26, TYPE1V2);
        int late = calls.deviceFd(files[0], DEVICE);
        assertThat(calls.fileAdd(kvmVfio, files[0])).as("too late, and the kernel says nothing").isZero();
        assertThat(kernel.endpoint(DEVICE).wasOpenedForVm()).isFalse();
        kernel.close(late);
        int early = calls.deviceFd(files[0], DEVICE);
        assertThat(kernel.endpoint(DEVICE).wasOpenedForVm()).isTrue();
        assertThat(calls.fileDel(kvmVfio, files[0])).isZero();
        calls.close(early, kvmVfio, vm, kvm);
        calls.close(files);
    }

    @Test
    void cdevAndGroupExcludeEachOther() {
        int[] cdev = calls.attachCdev("vfio0");
        assertThat(errno(calls.open("/dev/vfio/26"))).as("a device is bound").isEqualTo(Errno.EBUSY);
        calls.close(cdev[0]);
        int group = calls.open("/dev/vfio/26");
        int device = calls.open("/dev/vfio/devices/vfio0");
        assertThat(errno(calls.bind(device, cdev[1]))).as("the group is open").isEqualTo(Errno.EBUSY);
        kernel.close(group);
        assertThat(calls.bind(device, cdev[1])).isPositive();
        calls.close(device, cdev[1]);
    }

    @Test
    void aDriverThatNeedsTheVm() {
        try (MockKernel host = MockKernel.host(KernelProfile.V6_1).device(DEVICE, d -> d.group(26).needsVm()).start()) {
            Calls other = new Calls(host);
            int kvm = other.open("/dev/kvm");
            int vm = other.createVm(kvm);
            int kvmVfio = other.createVfioDevice(vm);
            int[] files = other.openGroup(26, TYPE1V2);
            assertThat(errno(other.deviceFd(files[0], DEVICE))).isEqualTo(Errno.EINVAL);
            assertThat(other.fileAdd(kvmVfio, files[0])).isZero();
            int device = other.deviceFd(files[0], DEVICE);
            assertThat(device).isNotNegative();
            other.close(device, kvmVfio, vm, kvm);
            other.close(files);
        }
    }

    @Test
    void anOlderKvmTakesNoDeviceFiles() {
        try (MockKernel host = MockKernel.host(KernelProfile.V6_1).device(DEVICE, d -> d.group(26)).start()) {
            Calls other = new Calls(host);
            int kvm = other.open("/dev/kvm");
            int vm = other.createVm(kvm);
            int kvmVfio = other.createVfioDevice(vm);
            int[] files = other.openGroup(26, TYPE1V2);
            int device = other.deviceFd(files[0], DEVICE);
            assertThat(errno(other.fileAdd(kvmVfio, device))).isEqualTo(Errno.EINVAL);
            assertThat(errno(other.open("/dev/iommu"))).isEqualTo(Errno.ENOENT);
            assertThat(errno(other.open("/dev/vfio/devices/vfio0"))).isEqualTo(Errno.ENOENT);
            assertThat(errno(host.ioctl(device, vfio_h.VFIO_DEVICE_BIND_IOMMUFD(), 0))).isEqualTo(Errno.ENOTTY);
            other.close(device, kvmVfio, vm, kvm);
            other.close(files);
        }
    }

    @Test
    void iommufdServesAsContainer() {
        int group = calls.open("/dev/vfio/26");
        int iommufd = calls.open("/dev/iommu");
        assertThat(errno(kernel.ioctl(iommufd, vfio_h.VFIO_SET_IOMMU(), TYPE1V2))).as("no group")
                .isEqualTo(Errno.ENODEV);
        assertThat(errno(calls.mapDma(iommufd, 0, 0, 4096))).isEqualTo(Errno.ENODEV);
        assertThat(calls.setContainer(group, iommufd)).isZero();
        assertThat(kernel.ioctl(iommufd, vfio_h.VFIO_SET_IOMMU(), TYPE1V2)).isZero();
        int device = calls.deviceFd(group, DEVICE);
        assertThat(device).isNotNegative();
        long memory = calls.mapMemory(8192);
        assertThat(calls.mapDma(iommufd, 0x1000, memory, 8192)).isZero();
        assertThat(calls.unmapDma(iommufd, 0x10000, 4096, 0)).as("nothing there").isZero();
        assertThat(errno(calls.unmapDma(iommufd, 0x1000, 4096, 0))).as("a part").isEqualTo(Errno.ENOENT);
        assertThat(calls.unmapDma(iommufd, 0, 0, vfio_h.VFIO_DMA_UNMAP_FLAG_ALL())).isEqualTo(8192);
        assertThat(errno(kernel.ioctl(iommufd, vfio_h.VFIO_IOMMU_DIRTY_PAGES(), 0))).isEqualTo(Errno.ENOTTY);
        kernel.munmap(memory, 8192);
        calls.close(device, group, iommufd);
    }

    @Test
    void theOldContainerTypeUnmapsPartsOfAnIommufd() {
        int group = calls.open("/dev/vfio/26");
        int iommufd = calls.open("/dev/iommu");
        calls.setContainer(group, iommufd);
        assertThat(kernel.ioctl(iommufd, vfio_h.VFIO_SET_IOMMU(), vfio_h.VFIO_TYPE1_IOMMU())).isZero();
        int device = calls.deviceFd(group, DEVICE);
        long memory = calls.mapMemory(3 * 4096);
        assertThat(calls.mapDma(iommufd, 0x1000, memory, 3 * 4096)).isZero();
        assertThat(calls.unmapDma(iommufd, 0x2000, 4096, 0)).isEqualTo(4096);
        assertThat(calls.unmapDma(iommufd, 0, 0, vfio_h.VFIO_DMA_UNMAP_FLAG_ALL())).isEqualTo(2 * 4096);
        kernel.munmap(memory, 3 * 4096);
        calls.close(device, group, iommufd);
    }

    @Test
    void aGroupThatLeavesItsIommufdStaysOwnedByItsDevices() {
        int group = calls.open("/dev/vfio/26");
        int iommufd = calls.open("/dev/iommu");
        int container = calls.open("/dev/vfio/vfio");
        calls.setContainer(group, iommufd);
        int device = calls.deviceFd(group, DEVICE);
        kernel.close(iommufd);
        assertThat(kernel.ioctl(group, vfio_h.VFIO_GROUP_UNSET_CONTAINER(), 0)).isZero();
        assertThat(calls.status(group)).as("owned").isZero();
        assertThat(errno(calls.setContainer(group, container))).isEqualTo(Errno.EPERM);
        kernel.close(device);
        assertThat(calls.setContainer(group, container)).isZero();
        calls.close(group, container);
    }

    @Test
    void aMappingWithoutRightsNeedsAnIommufdWithoutDevices() {
        int group = calls.open("/dev/vfio/26");
        int iommufd = calls.open("/dev/iommu");
        long memory = calls.mapMemory(4096);
        calls.setContainer(group, iommufd);
        assertThat(calls.mapDma(iommufd, 0, memory, 4096, 0)).isZero();
        assertThat(errno(calls.deviceFd(group, DEVICE))).as("it cannot be filled in").isEqualTo(Errno.EINVAL);
        assertThat(calls.unmapDma(iommufd, 0, 4096, 0)).isEqualTo(4096);
        int device = calls.deviceFd(group, DEVICE);
        assertThat(device).isNotNegative();
        assertThat(errno(calls.mapDma(iommufd, 0, memory, 4096, 0))).isEqualTo(Errno.EINVAL);
        kernel.munmap(memory, 4096);
        calls.close(device, group, iommufd);
    }
}
