package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.vfio.vfio_device_attach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_bind_iommufd;
import dev.kvmvfio.bindings.vfio.vfio_device_detach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.model.KernelProfile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The devices' own nodes: nothing before the bind, one bind at a time, and what keeps a device bound. */
class CdevTest {
    private static final int BIND = vfio_h.VFIO_DEVICE_BIND_IOMMUFD();
    private static final String DEVICE = "0000:6a:01.0";

    private MockKernel kernel;
    private Calls calls;
    private int iommufd;

    @BeforeEach
    void start() {
        use(MockKernel.example());
    }

    private void use(MockKernel host) {
        kernel = host;
        calls = new Calls(kernel);
        iommufd = calls.open("/dev/iommu");
    }

    private void restart(MockHost host) {
        close();
        use(host.start());
    }

    @AfterEach
    void close() {
        calls.close(iommufd);
        kernel.close();
    }

    private int cdev() {
        int fd = calls.open("/dev/vfio/devices/vfio0");
        assertThat(fd).isNotNegative();
        return fd;
    }

    @Test
    void nothingWorksBeforeTheBind() {
        int cdev = cdev();
        MemorySegment buffer = calls.bytes(4);
        assertThat(errno(kernel.ioctl(cdev, vfio_h.VFIO_DEVICE_GET_INFO(), buffer))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.ioctl(cdev, 0x3b99, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.attach(cdev, 1))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.pread(cdev, buffer, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.write(cdev, buffer))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapBar(cdev, 0, 0, 4096))).isEqualTo(Errno.EINVAL);
        kernel.close(cdev);
    }

    private Errno bind(int cdev, int argsz, int flags, int fd, long token) {
        MemorySegment bind = calls.bytes(Math.max(32, argsz));
        vfio_device_bind_iommufd.argsz(bind, argsz);
        vfio_device_bind_iommufd.flags(bind, flags);
        vfio_device_bind_iommufd.iommufd(bind, fd);
        vfio_device_bind_iommufd.token_uuid_ptr(bind, token);
        bind.set(ValueLayout.JAVA_LONG, 24, 99);
        return errno(kernel.ioctl(cdev, BIND, bind));
    }

    @Test
    void whatABindNeeds() {
        int cdev = cdev();
        assertThat(errno(kernel.ioctl(cdev, BIND, 8))).isEqualTo(Errno.EFAULT);
        assertThat(bind(cdev, 15, 0, iommufd, 0)).isEqualTo(Errno.EINVAL);
        assertThat(bind(cdev, 16, 1, iommufd, 0)).isEqualTo(Errno.EINVAL);
        assertThat(bind(cdev, 16, 0, -1, 0)).as("negative").isEqualTo(Errno.EINVAL);
        assertThat(bind(cdev, 16, 0, 1000, 0)).as("not open").isEqualTo(Errno.EBADF);
        assertThat(bind(cdev, 16, 0, cdev, 0)).as("no iommufd").isEqualTo(Errno.EBADFD);
        assertThat(bind(cdev, 16, 0, iommufd, 0)).isNull();
        assertThat(bind(cdev, 16, 0, iommufd, 0)).as("bound already").isEqualTo(Errno.EINVAL);
        kernel.close(cdev);
    }

    @Test
    void anOlderKernelDoesNotLookBehindItsStruct() {
        int cdev = cdev();
        assertThat(bind(cdev, 32, 0, iommufd, 7)).isNull();
        kernel.close(cdev);
    }

    @Test
    void aNewerKernelLooks() {
        restart(MockKernel.host(KernelProfile.V7_2).device(DEVICE, d -> d.cdev("vfio0")));
        int cdev = cdev();
        assertThat(bind(cdev, 15, 0, iommufd, 0)).isEqualTo(Errno.EINVAL);
        assertThat(bind(cdev, 32, 0, iommufd, 0)).as("a field it does not know").isEqualTo(Errno.E2BIG);
        assertThat(bind(cdev, 24, 2, iommufd, 0)).isEqualTo(Errno.EINVAL);
        int withToken = vfio_h.VFIO_DEVICE_BIND_FLAG_TOKEN();
        long token = calls.bytes(16).address();
        assertThat(bind(cdev, 24, withToken, iommufd, 8)).isEqualTo(Errno.EFAULT);
        assertThat(bind(cdev, 24, withToken, iommufd, token)).as("no token is wanted").isEqualTo(Errno.EINVAL);
        assertThat(bind(cdev, 24, 0, iommufd, 7)).isNull();
        kernel.close(cdev);
    }

    @Test
    void manyOpensButOneBind() {
        int first = cdev();
        int second = cdev();
        assertThat(calls.bind(first, iommufd)).isEqualTo(1);
        assertThat(errno(calls.bind(second, iommufd))).isEqualTo(Errno.EINVAL);
        kernel.close(first);
        assertThat(calls.bind(second, iommufd)).as("its number is free again").isEqualTo(1);
        kernel.close(second);
    }

    @Test
    void theRightOrderWithKvm() {
        int kvm = calls.open("/dev/kvm");
        int vm = calls.createVm(kvm);
        int kvmVfio = calls.createVfioDevice(vm);
        int cdev = cdev();
        assertThat(calls.fileAdd(kvmVfio, cdev)).isZero();
        assertThat(calls.bind(cdev, iommufd)).isPositive();
        assertThat(kernel.endpoint(DEVICE).wasOpenedForVm()).isTrue();
        assertThat(calls.fileDel(kvmVfio, cdev)).isZero();
        assertThat(kernel.endpoint(DEVICE).wasOpenedForVm()).as("until it is closed").isTrue();
        calls.close(cdev, kvmVfio, vm, kvm);
    }

    @Test
    void theWrongOrderSucceedsAndLeavesTheDeviceWithoutAVm() {
        int kvm = calls.open("/dev/kvm");
        int vm = calls.createVm(kvm);
        int kvmVfio = calls.createVfioDevice(vm);
        int cdev = cdev();
        assertThat(calls.bind(cdev, iommufd)).isPositive();
        assertThat(calls.fileAdd(kvmVfio, cdev)).isZero();
        assertThat(kernel.endpoint(DEVICE).wasOpenedForVm()).isFalse();
        calls.fileDel(kvmVfio, cdev);
        calls.close(cdev, kvmVfio, vm, kvm);
    }

    @Test
    void aDriverThatNeedsTheVmFailsAtTheBindAndLeavesNothing() {
        restart(MockKernel.host(KernelProfile.V6_12).device(DEVICE, d -> d.group(26).cdev("vfio0").needsVm()));
        int cdev = cdev();
        assertThat(errno(calls.bind(cdev, iommufd))).isEqualTo(Errno.EINVAL);
        int group = calls.open("/dev/vfio/26");
        assertThat(group).as("not blocked").isNotNegative();
        assertThat(calls.status(group)).as("not owned").isEqualTo(vfio_h.VFIO_GROUP_FLAGS_VIABLE());
        calls.close(group, cdev);
    }

    @Test
    void kvmKeepsTheDeviceBound() {
        int kvm = calls.open("/dev/kvm");
        int vm = calls.createVm(kvm);
        int kvmVfio = calls.createVfioDevice(vm);
        int cdev = cdev();
        calls.fileAdd(kvmVfio, cdev);
        calls.bind(cdev, iommufd);
        kernel.close(cdev);
        assertThat(kernel.leaks()).anyMatch(leak -> leak.contains(DEVICE + " is bound"));
        int second = cdev();
        assertThat(errno(calls.bind(second, iommufd))).as("bound by the file that KVM holds").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.fileDel(kvmVfio, second))).as("another open file").isEqualTo(Errno.ENOENT);
        kernel.close(kvmVfio);
        assertThat(calls.bind(second, iommufd)).isPositive();
        calls.close(second, vm, kvm);
    }

    @Test
    void aMappedBarKeepsTheDeviceBound() {
        int cdev = cdev();
        calls.bind(cdev, iommufd);
        long bar = calls.mapBar(cdev, 0, 0, 4096);
        kernel.close(cdev);
        int second = cdev();
        assertThat(errno(calls.bind(second, iommufd))).isEqualTo(Errno.EINVAL);
        kernel.munmap(bar, 4096);
        assertThat(calls.bind(second, iommufd)).isPositive();
        kernel.close(second);
    }

    @Test
    void aBoundDeviceKeepsTheIommufd() {
        int cdev = cdev();
        calls.bind(cdev, iommufd);
        int ioas = calls.allocateIoas(iommufd);
        calls.attach(cdev, ioas);
        long memory = calls.mapMemory(4096);
        calls.mapFixed(iommufd, ioas, 0, memory, 4096);
        kernel.close(iommufd);
        calls.setBusMaster(cdev);
        assertThat(kernel.endpoint(DEVICE).read(0, calls.bytes(8))).isTrue();
        kernel.close(cdev);
        assertThat(kernel.leaks()).noneMatch(leak -> leak.contains("IOVA"));
        kernel.munmap(memory, 4096);
    }

    @Test
    void twoDevicesOfAGroupHaveOneOwner() {
        int first = calls.open("/dev/vfio/devices/vfio1");
        int second = calls.open("/dev/vfio/devices/vfio2");
        int other = calls.open("/dev/iommu");
        assertThat(calls.bind(first, iommufd)).isPositive();
        assertThat(errno(calls.bind(second, other))).as("another iommufd").isEqualTo(Errno.EPERM);
        assertThat(calls.bind(second, iommufd)).isPositive();
        int one = calls.allocateIoas(iommufd);
        int two = calls.allocateIoas(iommufd);
        int table = calls.attach(first, one);
        assertThat(errno(calls.attach(second, two))).as("another address space").isEqualTo(Errno.EINVAL);
        assertThat(calls.attach(second, one)).isEqualTo(table);
        int moved = calls.attach(first, two);
        assertThat(moved).as("both move").isNotEqualTo(table);
        assertThat(calls.destroy(iommufd, one)).as("nobody is there").isZero();
        calls.close(first, second, other);
    }

    @Test
    void aDeviceBesideOneOfTheHost() {
        int cdev = calls.open("/dev/vfio/devices/vfio3");
        assertThat(errno(calls.bind(cdev, iommufd))).isEqualTo(Errno.EPERM);
        kernel.close(cdev);
        assertThat(kernel.leaks()).hasSize(1);
    }

    @Test
    void interruptsThatAreNotIsolated() {
        restart(MockKernel.host(KernelProfile.V6_12).withoutInterruptRemapping()
                .device(DEVICE, d -> d.cdev("vfio0")));
        int cdev = cdev();
        assertThat(errno(calls.bind(cdev, iommufd))).isEqualTo(Errno.EPERM);
        kernel.close(cdev);
        restart(MockKernel.host(KernelProfile.V6_12).withoutInterruptRemapping().allowUnsafeInterrupts()
                .device(DEVICE, d -> d.cdev("vfio0")));
        cdev = cdev();
        assertThat(calls.bind(cdev, iommufd)).isPositive();
        kernel.close(cdev);
    }

    private Errno attach(int cdev, int argsz, int flags, int id) {
        MemorySegment attach = calls.bytes(16);
        vfio_device_attach_iommufd_pt.argsz(attach, argsz);
        vfio_device_attach_iommufd_pt.flags(attach, flags);
        vfio_device_attach_iommufd_pt.pt_id(attach, id);
        return errno(kernel.ioctl(cdev, vfio_h.VFIO_DEVICE_ATTACH_IOMMUFD_PT(), attach));
    }

    @Test
    void attaching() {
        int cdev = cdev();
        int device = calls.bind(cdev, iommufd);
        int ioas = calls.allocateIoas(iommufd);
        assertThat(errno(kernel.ioctl(cdev, vfio_h.VFIO_DEVICE_ATTACH_IOMMUFD_PT(), 8))).isEqualTo(Errno.EFAULT);
        assertThat(attach(cdev, 11, 0, ioas)).isEqualTo(Errno.EINVAL);
        assertThat(attach(cdev, 12, 1, ioas)).isEqualTo(Errno.EINVAL);
        assertThat(attach(cdev, 12, 0, 99)).isEqualTo(Errno.ENOENT);
        assertThat(attach(cdev, 12, 0, device)).as("a device").isEqualTo(Errno.EINVAL);
        int table = calls.attach(cdev, ioas);
        assertThat(table).isEqualTo(3);
        assertThat(calls.attach(cdev, ioas)).as("again").isEqualTo(table);
        assertThat(calls.attach(cdev, table)).as("by the page table").isEqualTo(table);
        int other = calls.allocateIoas(iommufd);
        assertThat(calls.attach(cdev, other)).as("replaced").isEqualTo(5);
        assertThat(errno(calls.destroy(iommufd, table))).as("the old table is gone").isEqualTo(Errno.ENOENT);
        assertThat(calls.destroy(iommufd, ioas)).isZero();
        assertThat(errno(calls.destroy(iommufd, other))).as("in use").isEqualTo(Errno.EBUSY);
        assertThat(errno(calls.destroy(iommufd, device))).as("VFIO has it").isEqualTo(Errno.EBUSY);
        assertThat(calls.detach(cdev)).isZero();
        assertThat(calls.detach(cdev)).as("not attached").isZero();
        assertThat(calls.destroy(iommufd, other)).isZero();
        MemorySegment detach = calls.struct(vfio_device_detach_iommufd_pt.layout());
        vfio_device_detach_iommufd_pt.argsz(detach, 7);
        assertThat(errno(kernel.ioctl(cdev, vfio_h.VFIO_DEVICE_DETACH_IOMMUFD_PT(), detach))).isEqualTo(Errno.EINVAL);
        kernel.close(cdev);
    }

    @Test
    void whatIsMappedAlreadyMustSuitTheDevice() {
        int cdev = cdev();
        calls.bind(cdev, iommufd);
        int ioas = calls.allocateIoas(iommufd);
        long memory = calls.mapMemory(8192);
        assertThat(calls.mapFixed(iommufd, ioas, 0xfee0_0000L, memory, 4096)).as("no device yet").isPositive();
        assertThat(errno(calls.attach(cdev, ioas))).as("the interrupt window").isEqualTo(Errno.EADDRINUSE);
        calls.unmap(iommufd, ioas, 0xfee0_0000L, 4096);
        calls.mapFixed(iommufd, ioas, 1L << 45, memory, 4096);
        assertThat(errno(calls.attach(cdev, ioas))).as("beyond the IOMMU").isEqualTo(Errno.EADDRINUSE);
        calls.unmap(iommufd, ioas, 1L << 45, 4096);
        calls.mapFixed(iommufd, ioas, 0x1004, memory, 16);
        assertThat(errno(calls.attach(cdev, ioas))).as("not whole pages").isEqualTo(Errno.EADDRINUSE);
        calls.unmap(iommufd, ioas, 0x1004, 16);
        assertThat(calls.mapFixed(iommufd, ioas, 0, 0x10000, 4096)).as("not looked at yet").isZero();
        assertThat(errno(calls.attach(cdev, ioas))).as("no memory there").isEqualTo(Errno.EFAULT);
        calls.unmap(iommufd, ioas, 0, 4096);
        assertThat(calls.attach(cdev, ioas)).isPositive();
        kernel.munmap(memory, 8192);
        kernel.close(cdev);
    }

    @Test
    void aDeviceOfAGroupIsNotBound() {
        int[] files = calls.openGroup(26, vfio_h.VFIO_TYPE1v2_IOMMU());
        int device = calls.deviceFd(files[0], DEVICE);
        assertThat(errno(calls.bind(device, iommufd))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.attach(device, 1))).isEqualTo(Errno.ENOTTY);
        assertThat(errno(calls.detach(device))).isEqualTo(Errno.ENOTTY);
        calls.close(device);
        calls.close(files);
    }
}
