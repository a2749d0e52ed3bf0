package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.iommufd.iommu_destroy;
import dev.kvmvfio.bindings.iommufd.iommu_hw_info;
import dev.kvmvfio.bindings.iommufd.iommu_hwpt_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_allow_iovas;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_copy;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_iova_ranges;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_map_file;
import dev.kvmvfio.bindings.iommufd.iommu_iova_range;
import dev.kvmvfio.bindings.iommufd.iommu_option;
import dev.kvmvfio.bindings.iommufd.iommu_vfio_ioas;
import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.LinuxCapability;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The objects of an iommufd and its address spaces. */
class IommufdTest {
    private static final int PAGE = 4096;
    private static final int FIXED = iommufd_h.IOMMU_IOAS_MAP_FIXED_IOVA();
    private static final int READABLE = iommufd_h.IOMMU_IOAS_MAP_READABLE();
    private static final int WRITEABLE = iommufd_h.IOMMU_IOAS_MAP_WRITEABLE();

    private MockKernel kernel;
    private Calls calls;
    private int iommufd;
    private long memory;

    @BeforeEach
    void start() {
        use(MockKernel.example());
    }

    private void use(MockKernel host) {
        kernel = host;
        calls = new Calls(kernel);
        iommufd = calls.open("/dev/iommu");
        memory = calls.mapMemory(16 * PAGE);
    }

    private void restart(MockHost host) {
        close();
        use(host.device("0000:6a:01.0", d -> d.cdev("vfio0").bar(0, PAGE)).start());
    }

    @AfterEach
    void close() {
        kernel.munmap(memory, 16 * PAGE);
        calls.close(iommufd);
        kernel.close();
    }

    @Test
    void howAStructMayBeLong() {
        MemorySegment alloc = calls.bytes(24);
        assertThat(errno(kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_ALLOC(), 8))).isEqualTo(Errno.EFAULT);
        iommu_ioas_alloc.size(alloc, 11);
        assertThat(errno(kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_ALLOC(), alloc))).isEqualTo(Errno.EINVAL);
        iommu_ioas_alloc.size(alloc, 24);
        alloc.set(ValueLayout.JAVA_INT, 20, 1);
        assertThat(errno(kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_ALLOC(), alloc))).isEqualTo(Errno.E2BIG);
        alloc.set(ValueLayout.JAVA_INT, 20, 0);
        assertThat(kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_ALLOC(), alloc)).isZero();
        iommu_ioas_alloc.flags(alloc, 1);
        assertThat(errno(kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_ALLOC(), alloc))).isEqualTo(Errno.EOPNOTSUPP);
        assertThat(errno(kernel.ioctl(iommufd, 0x3bff, 0))).isEqualTo(Errno.ENOTTY);
        assertThat(errno(kernel.ioctl(iommufd, 0xae01, 0))).isEqualTo(Errno.ENOTTY);
    }

    @Test
    void numbersAreUsedAgain() {
        assertThat(calls.allocateIoas(iommufd)).isEqualTo(1);
        assertThat(calls.allocateIoas(iommufd)).isEqualTo(2);
        assertThat(calls.destroy(iommufd, 1)).isZero();
        assertThat(errno(calls.destroy(iommufd, 1))).isEqualTo(Errno.ENOENT);
        assertThat(calls.allocateIoas(iommufd)).isEqualTo(1);
        MemorySegment destroy = calls.struct(iommu_destroy.layout());
        iommu_destroy.size(destroy, 4);
        assertThat(errno(kernel.ioctl(iommufd, iommufd_h.IOMMU_DESTROY(), destroy))).isEqualTo(Errno.EINVAL);
    }

    @Test
    void mapping() {
        int ioas = calls.allocateIoas(iommufd);
        assertThat(errno(calls.map(iommufd, ioas, 0, memory, PAGE, 1 << 5))).isEqualTo(Errno.EOPNOTSUPP);
        assertThat(errno(calls.map(iommufd, ioas, -1, memory, PAGE, FIXED | READABLE))).isEqualTo(Errno.EOVERFLOW);
        assertThat(errno(calls.map(iommufd, ioas, 0, memory, -1, FIXED | READABLE))).isEqualTo(Errno.EOVERFLOW);
        assertThat(errno(calls.map(iommufd, ioas, 0, memory, PAGE, FIXED))).as("no access").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapFixed(iommufd, 99, 0, memory, PAGE))).isEqualTo(Errno.ENOENT);
        assertThat(errno(calls.mapFixed(iommufd, ioas, 0, memory, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapFixed(iommufd, ioas, -PAGE, memory, 2 * PAGE))).isEqualTo(Errno.EOVERFLOW);
        assertThat(calls.mapFixed(iommufd, ioas, 0x10000, memory, 2 * PAGE)).isEqualTo(0x10000);
        assertThat(errno(calls.mapFixed(iommufd, ioas, 0x11000, memory, PAGE))).isEqualTo(Errno.EEXIST);
        assertThat(calls.mapFixed(iommufd, ioas, 0x20001, memory + 1, 3)).as("bytes, without a device")
                .isEqualTo(0x20001);
        assertThat(calls.unmap(iommufd, ioas, 0, -1)).isEqualTo(2 * PAGE + 3);
    }

    @Test
    void aPlaceThatTheKernelChooses() {
        int ioas = calls.allocateIoas(iommufd);
        long first = calls.map(iommufd, ioas, 0, memory, PAGE, READABLE);
        assertThat(first).as("never 0").isEqualTo(PAGE);
        assertThat(calls.map(iommufd, ioas, 0, memory, 2 * PAGE, READABLE)).isEqualTo(2 * PAGE);
        allow(ioas, 0x40000, 0x40fff, 0x80000, 0x8ffff);
        assertThat(calls.map(iommufd, ioas, 0, memory, PAGE, READABLE)).isEqualTo(0x40000);
        assertThat(calls.map(iommufd, ioas, 0, memory, PAGE, READABLE)).isEqualTo(0x80000);
        allow(ioas, 0x40000, 0x40fff);
        assertThat(errno(calls.map(iommufd, ioas, 0, memory, PAGE, READABLE))).isEqualTo(Errno.ENOSPC);
        assertThat(calls.mapFixed(iommufd, ioas, 0x100000, memory, PAGE)).as("not allowed, but chosen")
                .isEqualTo(0x100000);
    }

    private Errno allow(int ioas, long... ranges) {
        MemorySegment array = calls.bytes(Math.max(1, ranges.length) * 8L);
        for (int i = 0; i < ranges.length; i++) {
            array.setAtIndex(ValueLayout.JAVA_LONG, i, ranges[i]);
        }
        MemorySegment allow = calls.struct(iommu_ioas_allow_iovas.layout());
        iommu_ioas_allow_iovas.size(allow, (int) allow.byteSize());
        iommu_ioas_allow_iovas.ioas_id(allow, ioas);
        iommu_ioas_allow_iovas.num_iovas(allow, ranges.length / 2);
        iommu_ioas_allow_iovas.allowed_iovas(allow, array.address());
        return errno(kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_ALLOW_IOVAS(), allow));
    }

    @Test
    void allowedRanges() {
        int[] files = calls.attachCdev("vfio0");
        int ioas = calls.allocateIoas(iommufd);
        assertThat(allow(99, 0, 10)).isEqualTo(Errno.ENOENT);
        assertThat(allow(ioas, 10, 10)).isEqualTo(Errno.EINVAL);
        assertThat(allow(ioas, 0, 100, 50, 200)).isEqualTo(Errno.EINVAL);
        assertThat(allow(ioas)).isNull();
        kernel.close(iommufd);
        iommufd = files[1];
        assertThat(allow(files[2], 0xfee0_0000L, 0xfee0_0fffL)).as("reserved").isEqualTo(Errno.EADDRINUSE);
        kernel.close(files[0]);
    }

    @Test
    void unmapping() {
        int ioas = calls.allocateIoas(iommufd);
        assertThat(calls.unmap(iommufd, ioas, 0, -1)).as("all of nothing").isZero();
        assertThat(errno(calls.unmap(iommufd, ioas, 0, PAGE))).as("nothing there").isEqualTo(Errno.ENOENT);
        assertThat(errno(calls.unmap(iommufd, ioas, 0, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.unmap(iommufd, ioas, 5, -1))).isEqualTo(Errno.EOVERFLOW);
        assertThat(errno(calls.unmap(iommufd, ioas, -PAGE, 2 * PAGE))).isEqualTo(Errno.EOVERFLOW);
        assertThat(errno(calls.unmap(iommufd, 99, 0, PAGE))).isEqualTo(Errno.ENOENT);
        calls.mapFixed(iommufd, ioas, 0x10000, memory, 2 * PAGE);
        calls.mapFixed(iommufd, ioas, 0x12000, memory, PAGE);
        assertThat(errno(calls.unmap(iommufd, ioas, 0x10000, PAGE))).as("a part").isEqualTo(Errno.ENOENT);
        assertThat(calls.unmap(iommufd, ioas, 0, 0x100000)).as("two areas").isEqualTo(3 * PAGE);
    }

    private MemorySegment ranges(int ioas, int room) {
        MemorySegment ranges = calls.struct(iommu_ioas_iova_ranges.layout());
        iommu_ioas_iova_ranges.size(ranges, (int) ranges.byteSize());
        iommu_ioas_iova_ranges.ioas_id(ranges, ioas);
        iommu_ioas_iova_ranges.num_iovas(ranges, room);
        iommu_ioas_iova_ranges.allowed_iovas(ranges, calls.bytes(room * iommu_iova_range.sizeof() + 8).address());
        return ranges;
    }

    @Test
    void usableRanges() {
        int call = iommufd_h.IOMMU_IOAS_IOVA_RANGES();
        int ioas = calls.allocateIoas(iommufd);
        MemorySegment ranges = ranges(ioas, 1);
        assertThat(kernel.ioctl(iommufd, call, ranges)).isZero();
        assertThat(iommu_ioas_iova_ranges.num_iovas(ranges)).isEqualTo(1);
        assertThat(iommu_ioas_iova_ranges.out_iova_alignment(ranges)).as("no device").isEqualTo(1);
        MemorySegment everything = Calls.at(iommu_ioas_iova_ranges.allowed_iovas(ranges), 16);
        assertThat(iommu_iova_range.last(everything)).isEqualTo(-1);

        int[] files = calls.attachCdev("vfio0");
        ranges = ranges(files[2], 1);
        assertThat(errno(kernel.ioctl(files[1], call, ranges))).isEqualTo(Errno.EMSGSIZE);
        assertThat(iommu_ioas_iova_ranges.num_iovas(ranges)).isEqualTo(2);
        ranges = ranges(files[2], 2);
        assertThat(kernel.ioctl(files[1], call, ranges)).isZero();
        assertThat(iommu_ioas_iova_ranges.out_iova_alignment(ranges)).isEqualTo(PAGE);
        MemorySegment second = Calls.at(iommu_ioas_iova_ranges.allowed_iovas(ranges) + 16, 16);
        assertThat(iommu_iova_range.start(second)).isEqualTo(0xfef0_0000L);
        assertThat(iommu_iova_range.last(second)).isEqualTo((1L << 39) - 1);
        iommu_ioas_iova_ranges.__reserved(ranges, 1);
        assertThat(errno(kernel.ioctl(files[1], call, ranges))).isEqualTo(Errno.EOPNOTSUPP);
        calls.close(files[0], files[1]);
    }

    @Test
    void withADevice() {
        int[] files = calls.attachCdev("vfio0");
        int ioas = files[2];
        int fd = files[1];
        assertThat(errno(calls.mapFixed(fd, ioas, 1, memory, PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapFixed(fd, ioas, 0, memory + 1, PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapFixed(fd, ioas, 0, memory, 1))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapFixed(fd, ioas, 0xfee0_0000L, memory, PAGE))).as("reserved").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapFixed(fd, ioas, 1L << 39, memory, PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapFixed(fd, ioas, 0, 0x10000, PAGE))).as("no memory").isEqualTo(Errno.EFAULT);
        long readOnly = kernel.mmap(PAGE, system_h.PROT_READ(), system_h.MAP_PRIVATE() | system_h.MAP_ANONYMOUS(), -1,
                0);
        assertThat(errno(calls.mapFixed(fd, ioas, 0, readOnly, PAGE))).as("read-only").isEqualTo(Errno.EFAULT);
        assertThat(calls.map(fd, ioas, 0, readOnly, PAGE, FIXED | READABLE)).isZero();
        long bar = calls.mapBar(files[0], 0, 0, PAGE);
        assertThat(errno(calls.mapFixed(fd, ioas, 0x10000, bar, PAGE))).as("a BAR").isEqualTo(Errno.EFAULT);
        assertThat(calls.text("/proc/self/status")).contains("VmPin:\t       4 kB");
        kernel.munmap(bar, PAGE);
        kernel.munmap(readOnly, PAGE);
        calls.close(files[0], fd);
    }

    @Test
    void theLimitForPinnedMemory() {
        restart(MockKernel.host(KernelProfile.V6_12).memlock(2 * PAGE));
        int[] files = calls.attachCdev("vfio0");
        assertThat(errno(calls.mapFixed(files[1], files[2], 0, memory, 3 * PAGE))).isEqualTo(Errno.ENOMEM);
        assertThat(calls.mapFixed(files[1], files[2], 0, memory, 2 * PAGE)).isZero();
        assertThat(errno(calls.mapFixed(files[1], files[2], 0x10000, memory, PAGE))).isEqualTo(Errno.ENOMEM);
        assertThat(calls.unmap(files[1], files[2], 0, -1)).isEqualTo(2 * PAGE);
        int ioas = calls.allocateIoas(iommufd);
        assertThat(calls.mapFixed(iommufd, ioas, 0, memory, 16 * PAGE)).as("not pinned without a device").isZero();
        calls.close(files[0], files[1]);
    }

    private long copy(int from, long start, int to, long target, long length, int flags) {
        MemorySegment copy = calls.struct(iommu_ioas_copy.layout());
        iommu_ioas_copy.size(copy, (int) copy.byteSize());
        iommu_ioas_copy.flags(copy, flags);
        iommu_ioas_copy.src_ioas_id(copy, from);
        iommu_ioas_copy.src_iova(copy, start);
        iommu_ioas_copy.dst_ioas_id(copy, to);
        iommu_ioas_copy.dst_iova(copy, target);
        iommu_ioas_copy.length(copy, length);
        int result = kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_COPY(), copy);
        return result < 0 ? result : iommu_ioas_copy.dst_iova(copy);
    }

    @Test
    void copying() {
        int one = calls.allocateIoas(iommufd);
        int two = calls.allocateIoas(iommufd);
        calls.map(iommufd, one, 0x10000, memory, 2 * PAGE, FIXED | READABLE);
        calls.mapFixed(iommufd, one, 0x12000, memory, PAGE);
        assertThat(errno(copy(99, 0x10000, two, 0, PAGE, FIXED | READABLE))).isEqualTo(Errno.ENOENT);
        assertThat(errno(copy(one, 0x10000, 99, 0, PAGE, FIXED | READABLE))).isEqualTo(Errno.ENOENT);
        assertThat(errno(copy(one, 0x13000, two, 0, PAGE, FIXED | READABLE))).as("a gap").isEqualTo(Errno.ENOENT);
        assertThat(errno(copy(one, 0x12000, two, 0, 2 * PAGE, FIXED | READABLE))).isEqualTo(Errno.ENOENT);
        assertThat(errno(copy(one, 0x10000, two, 0, 0, FIXED | READABLE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(copy(one, 0x10000, two, 0, PAGE, FIXED))).isEqualTo(Errno.EINVAL);
        assertThat(errno(copy(one, 0x10000, two, 0, PAGE, 1 << 5))).isEqualTo(Errno.EOPNOTSUPP);
        assertThat(errno(copy(one, 0x10000, two, 0, PAGE, FIXED | WRITEABLE))).as("read-only").isEqualTo(Errno.EPERM);
        assertThat(copy(one, 0x11000, two, 0x80000, 2 * PAGE, FIXED | READABLE)).isEqualTo(0x80000);
        assertThat(errno(copy(one, 0x11000, two, 0x80000, 2 * PAGE, FIXED | READABLE))).isEqualTo(Errno.EEXIST);
        assertThat(calls.destroy(iommufd, one)).as("the copy stays").isZero();
        assertThat(calls.unmap(iommufd, two, 0x80000, PAGE)).as("two areas").isEqualTo(PAGE);
    }

    private Errno option(int option, int operation, int object, long value) {
        return errno(kernel.ioctl(iommufd, iommufd_h.IOMMU_OPTION(), optionStruct(option, operation, object, value)));
    }

    private MemorySegment optionStruct(int option, int operation, int object, long value) {
        MemorySegment struct = calls.struct(iommu_option.layout());
        iommu_option.size(struct, (int) struct.byteSize());
        iommu_option.option_id(struct, option);
        iommu_option.op(struct, (short) operation);
        iommu_option.object_id(struct, object);
        iommu_option.val64(struct, value);
        return struct;
    }

    @Test
    void options() {
        int get = iommufd_h.IOMMU_OPTION_OP_GET();
        int set = iommufd_h.IOMMU_OPTION_OP_SET();
        int mode = iommufd_h.IOMMU_OPTION_RLIMIT_MODE();
        int huge = iommufd_h.IOMMU_OPTION_HUGE_PAGES();
        assertThat(option(99, get, 0, 0)).isEqualTo(Errno.EOPNOTSUPP);
        assertThat(option(mode, get, 1, 0)).isEqualTo(Errno.EOPNOTSUPP);
        assertThat(option(mode, 7, 0, 0)).isEqualTo(Errno.EOPNOTSUPP);
        assertThat(option(mode, set, 0, 2)).isEqualTo(Errno.EINVAL);
        assertThat(option(mode, set, 0, 1)).isNull();
        MemorySegment read = optionStruct(mode, get, 0, 0);
        assertThat(kernel.ioctl(iommufd, iommufd_h.IOMMU_OPTION(), read)).isZero();
        assertThat(iommu_option.val64(read)).isEqualTo(1);
        int ioas = calls.allocateIoas(iommufd);
        assertThat(option(mode, set, 0, 1)).as("objects exist").isEqualTo(Errno.EBUSY);
        assertThat(option(huge, get, 99, 0)).isEqualTo(Errno.ENOENT);
        assertThat(option(huge, set, ioas, 2)).isEqualTo(Errno.EINVAL);
        assertThat(option(huge, set, ioas, 0)).isNull();
        read = optionStruct(huge, get, ioas, 9);
        assertThat(kernel.ioctl(iommufd, iommufd_h.IOMMU_OPTION(), read)).isZero();
        assertThat(iommu_option.val64(read)).isZero();
        restart(MockKernel.host(KernelProfile.V6_12).without(LinuxCapability.SYS_RESOURCE));
        assertThat(option(mode, set, 0, 1)).isEqualTo(Errno.EPERM);
    }

    private long vfioIoas(int operation, int id) {
        MemorySegment struct = calls.struct(iommu_vfio_ioas.layout());
        iommu_vfio_ioas.size(struct, (int) struct.byteSize());
        iommu_vfio_ioas.op(struct, (short) operation);
        iommu_vfio_ioas.ioas_id(struct, id);
        int result = kernel.ioctl(iommufd, iommufd_h.IOMMU_VFIO_IOAS(), struct);
        return result < 0 ? result : iommu_vfio_ioas.ioas_id(struct);
    }

    @Test
    void theAddressSpaceOfVfiosOwnCalls() {
        int get = iommufd_h.IOMMU_VFIO_IOAS_GET();
        assertThat(errno(vfioIoas(get, 0))).isEqualTo(Errno.ENODEV);
        assertThat(errno(vfioIoas(iommufd_h.IOMMU_VFIO_IOAS_SET(), 7))).isEqualTo(Errno.ENOENT);
        assertThat(errno(vfioIoas(9, 0))).isEqualTo(Errno.EOPNOTSUPP);
        int ioas = calls.allocateIoas(iommufd);
        assertThat(vfioIoas(iommufd_h.IOMMU_VFIO_IOAS_SET(), ioas)).isEqualTo(ioas);
        assertThat(vfioIoas(get, 0)).isEqualTo(ioas);
        assertThat(calls.mapDma(iommufd, 0, memory, PAGE)).isZero();
        assertThat(calls.unmap(iommufd, ioas, 0, PAGE)).isEqualTo(PAGE);
        assertThat(calls.destroy(iommufd, ioas)).isZero();
        assertThat(errno(vfioIoas(get, 0))).as("destroyed").isEqualTo(Errno.ENODEV);
        assertThat(vfioIoas(iommufd_h.IOMMU_VFIO_IOAS_CLEAR(), 0)).isZero();
        assertThat(errno(kernel.ioctl(iommufd, vfio_h.VFIO_SET_IOMMU(), 77))).isEqualTo(Errno.EINVAL);
        assertThat(kernel.ioctl(iommufd, vfio_h.VFIO_CHECK_EXTENSION(), vfio_h.VFIO_TYPE1v2_IOMMU())).isEqualTo(1);
    }

    private long allocateTable(int device, int parent, int flags) {
        MemorySegment struct = calls.struct(iommu_hwpt_alloc.layout());
        iommu_hwpt_alloc.size(struct, (int) struct.byteSize());
        iommu_hwpt_alloc.flags(struct, flags);
        iommu_hwpt_alloc.dev_id(struct, device);
        iommu_hwpt_alloc.pt_id(struct, parent);
        int result = kernel.ioctl(iommufd, iommufd_h.IOMMU_HWPT_ALLOC(), struct);
        return result < 0 ? result : iommu_hwpt_alloc.out_hwpt_id(struct);
    }

    @Test
    void pageTablesOfTheProgramsOwn() {
        int cdev = calls.open("/dev/vfio/devices/vfio0");
        int device = calls.bind(cdev, iommufd);
        int ioas = calls.allocateIoas(iommufd);
        assertThat(errno(allocateTable(99, ioas, 0))).isEqualTo(Errno.ENOENT);
        assertThat(errno(allocateTable(device, 99, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(allocateTable(device, ioas, 1 << 9))).isEqualTo(Errno.EOPNOTSUPP);
        int table = (int) allocateTable(device, ioas, 0);
        assertThat(table).isEqualTo(3);
        assertThat(calls.attach(cdev, table)).isEqualTo(table);
        assertThat(errno(calls.destroy(iommufd, table))).isEqualTo(Errno.EBUSY);
        calls.detach(cdev);
        assertThat(calls.destroy(iommufd, table)).as("it stays until it is destroyed").isZero();
        kernel.close(cdev);
    }

    @Test
    void hardwareInfo() {
        int cdev = calls.open("/dev/vfio/devices/vfio0");
        MemorySegment data = calls.bytes(16).fill((byte) 1);
        MemorySegment info = calls.struct(iommu_hw_info.layout());
        iommu_hw_info.size(info, (int) info.byteSize());
        iommu_hw_info.dev_id(info, 99);
        iommu_hw_info.data_len(info, 16);
        iommu_hw_info.data_uptr(info, data.address());
        assertThat(errno(kernel.ioctl(iommufd, iommufd_h.IOMMU_GET_HW_INFO(), info))).isEqualTo(Errno.ENOENT);
        iommu_hw_info.dev_id(info, calls.bind(cdev, iommufd));
        assertThat(kernel.ioctl(iommufd, iommufd_h.IOMMU_GET_HW_INFO(), info)).isZero();
        assertThat(iommu_hw_info.out_data_type(info)).isEqualTo(iommufd_h.IOMMU_HW_INFO_TYPE_NONE());
        assertThat(data.toArray(ValueLayout.JAVA_BYTE)).containsOnly(0);
        kernel.close(cdev);
    }

    @Test
    void mappingAFileCameLater() {
        MemorySegment map = calls.struct(iommu_ioas_map_file.layout());
        iommu_ioas_map_file.size(map, (int) map.byteSize());
        iommu_ioas_map_file.flags(map, READABLE);
        iommu_ioas_map_file.length(map, PAGE);
        iommu_ioas_map_file.fd(map, 1000);
        int call = iommufd_h.IOMMU_IOAS_MAP_FILE();
        assertThat(errno(kernel.ioctl(iommufd, call, map))).isEqualTo(Errno.ENOTTY);
        restart(MockKernel.host(KernelProfile.V7_2));
        assertThat(errno(kernel.ioctl(iommufd, call, map))).isEqualTo(Errno.ENOENT);
        iommu_ioas_map_file.ioas_id(map, calls.allocateIoas(iommufd));
        assertThat(errno(kernel.ioctl(iommufd, call, map))).isEqualTo(Errno.EBADF);
        iommu_ioas_map_file.fd(map, iommufd);
        assertThatThrownBy(() -> kernel.ioctl(iommufd, call, map)).isInstanceOf(NotModelledException.class)
                .hasMessageContaining("IOMMU_IOAS_MAP_FILE");
    }
}
