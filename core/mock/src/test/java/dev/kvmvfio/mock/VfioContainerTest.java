package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_info_cap_header;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dirty_bitmap;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info_cap_iova_range;
import dev.kvmvfio.bindings.vfio.vfio_iova_range;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.model.KernelProfile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The container and its IOMMU driver in both versions. */
class VfioContainerTest {
    private static final int PAGE = 4096;
    private static final int TYPE1 = vfio_h.VFIO_TYPE1_IOMMU();
    private static final int TYPE1V2 = vfio_h.VFIO_TYPE1v2_IOMMU();
    private static final int READ = vfio_h.VFIO_DMA_MAP_FLAG_READ();
    private static final int WRITE = vfio_h.VFIO_DMA_MAP_FLAG_WRITE();
    private static final int ALL = vfio_h.VFIO_DMA_UNMAP_FLAG_ALL();

    private MockKernel kernel;
    private Calls calls;
    private int group;
    private int container;

    @BeforeEach
    void start() {
        use(MockKernel.example());
    }

    private void use(MockKernel host) {
        kernel = host;
        calls = new Calls(kernel);
        group = calls.open("/dev/vfio/26");
        container = calls.open("/dev/vfio/vfio");
    }

    private void restart(MockHost host) {
        close();
        use(host.device("0000:6a:01.0", d -> d.group(26)).start());
    }

    @AfterEach
    void close() {
        calls.close(group, container);
        kernel.close();
    }

    private void set(int type) {
        assertThat(calls.setContainer(group, container)).isZero();
        assertThat(kernel.ioctl(container, vfio_h.VFIO_SET_IOMMU(), type)).isZero();
    }

    private int extension(int number) {
        return kernel.ioctl(container, vfio_h.VFIO_CHECK_EXTENSION(), number);
    }

    @Test
    void extensions() {
        assertThat(kernel.ioctl(container, vfio_h.VFIO_GET_API_VERSION(), 0)).isZero();
        assertThat(List.of(extension(TYPE1), extension(TYPE1V2), extension(vfio_h.VFIO_UNMAP_ALL()))).containsOnly(1);
        assertThat(extension(vfio_h.__VFIO_RESERVED_TYPE1_NESTING_IOMMU())).isEqualTo(1);
        assertThat(extension(vfio_h.VFIO_DMA_CC_IOMMU())).isZero();
        assertThat(extension(vfio_h.VFIO_UPDATE_VADDR())).isZero();
        assertThat(extension(vfio_h.VFIO_SPAPR_TCE_IOMMU())).isZero();
        set(TYPE1V2);
        assertThat(extension(vfio_h.VFIO_DMA_CC_IOMMU())).as("the IOMMU cannot force it").isZero();
        assertThat(extension(vfio_h.VFIO_UPDATE_VADDR())).isEqualTo(1);
    }

    @Test
    void theIommuDriverIsSetOnce() {
        int setIommu = vfio_h.VFIO_SET_IOMMU();
        assertThat(errno(kernel.ioctl(container, setIommu, TYPE1V2))).as("no group").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapDma(container, 0, 0, PAGE))).as("no driver").isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.ioctl(container, 0x3b99, 0))).isEqualTo(Errno.EINVAL);
        calls.setContainer(group, container);
        assertThat(errno(kernel.ioctl(container, setIommu, vfio_h.VFIO_SPAPR_TCE_IOMMU()))).isEqualTo(Errno.ENODEV);
        assertThat(errno(kernel.ioctl(container, setIommu, 77))).isEqualTo(Errno.ENODEV);
        assertThat(errno(kernel.ioctl(container, setIommu, vfio_h.VFIO_UNMAP_ALL()))).isEqualTo(Errno.EINVAL);
        assertThat(kernel.ioctl(container, setIommu, TYPE1V2)).isZero();
        assertThat(errno(kernel.ioctl(container, setIommu, TYPE1V2))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.ioctl(container, 0x3b99, 0))).isEqualTo(Errno.ENOTTY);
    }

    @Test
    void mappingsGoWithTheLastGroup() {
        set(TYPE1V2);
        long memory = calls.mapMemory(PAGE);
        assertThat(calls.mapDma(container, 0, memory, PAGE)).isZero();
        assertThat(kernel.ioctl(group, vfio_h.VFIO_GROUP_UNSET_CONTAINER(), 0)).isZero();
        assertThat(errno(calls.mapDma(container, 0, memory, PAGE))).as("unset again").isEqualTo(Errno.EINVAL);
        set(TYPE1V2);
        assertThat(calls.mapDma(container, 0, memory, PAGE)).as("nothing was left").isZero();
        assertThat(calls.text("/proc/self/status")).contains("VmLck:\t       4 kB");
        kernel.munmap(memory, PAGE);
    }

    @Test
    void interruptsThatAreNotIsolated() {
        restart(MockKernel.host(KernelProfile.V6_12).withoutInterruptRemapping());
        calls.setContainer(group, container);
        assertThat(errno(kernel.ioctl(container, vfio_h.VFIO_SET_IOMMU(), TYPE1V2))).isEqualTo(Errno.EPERM);
        restart(MockKernel.host(KernelProfile.V6_12).withoutInterruptRemapping().allowUnsafeInterrupts());
        set(TYPE1V2);
        assertThat(calls.text("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts")).isEqualTo("Y\n");
    }

    @ParameterizedTest
    @EnumSource(KernelProfile.class)
    void mapping(KernelProfile profile) {
        restart(MockKernel.host(profile));
        set(TYPE1V2);
        Errno wrap = profile == KernelProfile.V7_2 ? Errno.EOVERFLOW : Errno.EINVAL;
        long memory = calls.mapMemory(4 * PAGE);
        assertThat(errno(kernel.ioctl(container, vfio_h.VFIO_IOMMU_MAP_DMA(), 8))).isEqualTo(Errno.EFAULT);
        assertThat(errno(calls.mapDma(container, 0, memory, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapDma(container, 0, memory, PAGE, 0))).as("no access").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapDma(container, 0, memory, PAGE, 1 << 7))).isEqualTo(Errno.EINVAL);
        int newAddress = vfio_h.VFIO_DMA_MAP_FLAG_VADDR();
        assertThat(errno(calls.mapDma(container, 0, memory, PAGE, newAddress | READ))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapDma(container, 0, memory, PAGE, newAddress))).isEqualTo(Errno.ENOENT);
        assertThat(errno(calls.mapDma(container, 1, memory, PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapDma(container, 0, memory + 1, PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapDma(container, 0, memory, PAGE + 1))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapDma(container, -PAGE, memory, 2 * PAGE))).isEqualTo(wrap);
        assertThat(errno(calls.mapDma(container, 0, 0x1000, PAGE))).as("no memory").isEqualTo(Errno.EFAULT);
        assertThat(errno(calls.mapDma(container, 0, memory, 5L << 40))).as("the IOMMU's width").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapDma(container, 0xfee0_0000L, memory, PAGE))).as("interrupts").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapDma(container, 0xfedf_f000L, memory, 2 * PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapDma(container, 1L << 39, memory, PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(calls.mapDma(container, (1L << 39) - PAGE, memory, PAGE)).isZero();
        assertThat(calls.mapDma(container, 0x4000, memory, 4 * PAGE)).isZero();
        assertThat(errno(calls.mapDma(container, 0x5000, memory, PAGE))).isEqualTo(Errno.EEXIST);
        assertThat(errno(calls.mapDma(container, 0x3000, memory, 2 * PAGE))).isEqualTo(Errno.EEXIST);
        kernel.munmap(memory, 4 * PAGE);
    }

    @ParameterizedTest
    @EnumSource(KernelProfile.class)
    void unmapping(KernelProfile profile) {
        restart(MockKernel.host(profile));
        set(TYPE1V2);
        Errno wrap = profile == KernelProfile.V7_2 ? Errno.EOVERFLOW : Errno.EINVAL;
        long memory = calls.mapMemory(8 * PAGE);
        assertThat(calls.unmapDma(container, 0, PAGE, 0)).as("nothing there").isZero();
        calls.mapDma(container, 0x10000, memory, 2 * PAGE);
        calls.mapDma(container, 0x20000, memory, 2 * PAGE);
        calls.mapDma(container, 0x30000, memory, 2 * PAGE);
        assertThat(errno(calls.unmapDma(container, 0x10000, PAGE, 0))).as("first half").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.unmapDma(container, 0x11000, PAGE, 0))).as("second half").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.unmapDma(container, 0x10000, 0, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.unmapDma(container, 0x10001, PAGE, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.unmapDma(container, -PAGE, 2 * PAGE, 0))).isEqualTo(wrap);
        assertThat(errno(calls.unmapDma(container, 0, 0, 1 << 6))).isEqualTo(Errno.EINVAL);
        assertThat(calls.unmapDma(container, 0x10000, 0x20000, 0)).as("two of them").isEqualTo(4 * PAGE);
        assertThat(errno(calls.unmapDma(container, 0x1000, 0, ALL))).isEqualTo(Errno.EINVAL);
        assertThat(calls.unmapDma(container, 0, 0, ALL)).isEqualTo(2 * PAGE);
        assertThat(calls.unmapDma(container, 0, 0, ALL)).isZero();
        kernel.munmap(memory, 8 * PAGE);
    }

    @Test
    void theOldVersionUnmapsWholeMappings() {
        set(TYPE1);
        long memory = calls.mapMemory(4 * PAGE);
        calls.mapDma(container, 0x10000, memory, 4 * PAGE);
        assertThat(calls.unmapDma(container, 0x11000, PAGE, 0)).as("not its start").isZero();
        assertThat(calls.unmapDma(container, 0x10000, PAGE, 0)).as("its start").isEqualTo(4 * PAGE);
        kernel.munmap(memory, 4 * PAGE);
    }

    @Test
    void dirtyPages() {
        set(TYPE1V2);
        int get = vfio_h.VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP();
        assertThat(dirtyPages(get)).as("not started").isEqualTo(Errno.EINVAL);
        assertThat(dirtyPages(vfio_h.VFIO_IOMMU_DIRTY_PAGES_FLAG_START())).isNull();
        assertThat(dirtyPages(vfio_h.VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP())).isNull();
        assertThat(dirtyPages(3)).isEqualTo(Errno.EINVAL);
        assertThat(dirtyPages(0)).isEqualTo(Errno.EINVAL);
        kernel.ioctl(group, vfio_h.VFIO_GROUP_UNSET_CONTAINER(), 0);
        set(TYPE1);
        assertThat(dirtyPages(get)).as("the old version").isEqualTo(Errno.EACCES);
    }

    private Errno dirtyPages(int flags) {
        MemorySegment bitmap = calls.bytes(vfio_iommu_type1_dirty_bitmap.data$offset());
        vfio_iommu_type1_dirty_bitmap.argsz(bitmap, (int) bitmap.byteSize());
        vfio_iommu_type1_dirty_bitmap.flags(bitmap, flags);
        return errno(kernel.ioctl(container, vfio_h.VFIO_IOMMU_DIRTY_PAGES(), bitmap));
    }

    private MemorySegment info(int argsz) {
        MemorySegment info = calls.bytes(Math.max(argsz, 24));
        vfio_iommu_type1_info.argsz(info, argsz);
        assertThat(kernel.ioctl(container, vfio_h.VFIO_IOMMU_GET_INFO(), info)).isZero();
        return info;
    }

    @ParameterizedTest
    @EnumSource(KernelProfile.class)
    void info(KernelProfile profile) {
        restart(MockKernel.host(profile).reserved(0x1_0000_0000L, 0x1_ffff_ffffL));
        set(TYPE1V2);
        assertThat(vfio_iommu_type1_info.iova_pgsizes(info(24))).isEqualTo(0x40201000L);
        int needed = vfio_iommu_type1_info.argsz(info(24));
        assertThat(vfio_iommu_type1_info.cap_offset(info(needed - 1))).as("too small").isZero();
        MemorySegment info = info(needed);
        assertThat(vfio_iommu_type1_info.flags(info))
                .isEqualTo(vfio_h.VFIO_IOMMU_INFO_PGSIZES() | vfio_h.VFIO_IOMMU_INFO_CAPS());
        List<Integer> capabilities = new ArrayList<>();
        int offset = vfio_iommu_type1_info.cap_offset(info);
        while (true) {
            MemorySegment header = calls.bytes(vfio_info_cap_header.sizeof());
            MemorySegment.copy(info, offset, header, 0, header.byteSize());
            capabilities.add((int) vfio_info_cap_header.id(header));
            if (vfio_info_cap_header.next(header) == 0) {
                break;
            }
            offset = vfio_info_cap_header.next(header);
        }
        assertThat(capabilities).containsExactly(vfio_h.VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION(),
                vfio_h.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL(), vfio_h.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE());
        assertThat(offset % 8).as("older kernels do not align capabilities").isEqualTo(profile.hasCdev() ? 0 : 4);
        MemorySegment ranges = calls.bytes(info.byteSize() - offset).copyFrom(info.asSlice(offset));
        assertThat(vfio_iommu_type1_info_cap_iova_range.nr_iovas(ranges)).isEqualTo(3);
        MemorySegment array = ranges.asSlice(vfio_iommu_type1_info_cap_iova_range.iova_ranges$offset());
        assertThat(vfio_iova_range.end(vfio_iova_range.asSlice(array, 0))).isEqualTo(0xfedf_ffffL);
        assertThat(vfio_iova_range.start(vfio_iova_range.asSlice(array, 1))).isEqualTo(0xfef0_0000L);
        assertThat(vfio_iova_range.end(vfio_iova_range.asSlice(array, 2))).isEqualTo((1L << 39) - 1);
    }

    @Test
    void infoThatIsTooShort() {
        set(TYPE1V2);
        MemorySegment info = calls.bytes(24);
        vfio_iommu_type1_info.argsz(info, 15);
        assertThat(errno(kernel.ioctl(container, vfio_h.VFIO_IOMMU_GET_INFO(), info))).isEqualTo(Errno.EINVAL);
    }

    @Test
    void theLimitForPinnedMemory() {
        restart(MockKernel.host(KernelProfile.V6_12).memlock(3 * PAGE));
        set(TYPE1V2);
        assertThat(calls.text("/proc/self/limits")).contains("Max locked memory         12288");
        long memory = calls.mapMemory(4 * PAGE);
        assertThat(errno(calls.mapDma(container, 0, memory, 4 * PAGE))).isEqualTo(Errno.ENOMEM);
        assertThat(calls.mapDma(container, 0, memory, 2 * PAGE)).isZero();
        assertThat(errno(calls.mapDma(container, 0x10000, memory, 2 * PAGE))).as("each counts").isEqualTo(Errno.ENOMEM);
        assertThat(calls.unmapDma(container, 0, 0, ALL)).isEqualTo(2 * PAGE);
        assertThat(calls.mapDma(container, 0x10000, memory, 3 * PAGE)).isZero();
        kernel.munmap(memory, 4 * PAGE);
    }

    @Test
    void memoryThatTheMockDidNotMap() {
        set(TYPE1V2);
        MemorySegment own = calls.bytes(3 * PAGE);
        long aligned = own.address() + PAGE - 1 & -PAGE;
        assertThat(calls.mapDma(container, 0, aligned, PAGE)).isZero();
        MemorySegment page = own.asSlice(aligned - own.address(), PAGE);
        page.set(ValueLayout.JAVA_INT, 16, 0x1234);
        int device = calls.deviceFd(group, "0000:6a:01.0");
        calls.setBusMaster(device);
        MemorySegment read = calls.bytes(4);
        assertThat(kernel.endpoint("0000:6a:01.0").read(16, read)).isTrue();
        assertThat(read.get(ValueLayout.JAVA_INT, 0)).isEqualTo(0x1234);
        kernel.close(device);
    }

    @Test
    void readOnlyMemoryIsNotWritten() {
        set(TYPE1V2);
        long readOnly = kernel.mmap(PAGE, system_h.PROT_READ(),
                system_h.MAP_PRIVATE()
                        | system_h.MAP_ANONYMOUS(),
                -1, 0);
        assertThat(errno(calls.mapDma(container, 0, readOnly, PAGE, READ | WRITE))).isEqualTo(Errno.EFAULT);
        assertThat(calls.mapDma(container, 0, readOnly, PAGE, READ)).isZero();
        kernel.munmap(readOnly, PAGE);
    }

    @Test
    void anotherDevicesBarCanBeMapped() {
        set(TYPE1V2);
        int device = calls.deviceFd(group, "0000:6a:01.0");
        long bar = calls.mapBar(device, 0, 0, PAGE);
        assertThat(calls.mapDma(container, 0, bar, PAGE)).isZero();
        assertThat(calls.text("/proc/self/status")).as("costs nothing").contains("VmLck:\t       0 kB");
        kernel.munmap(bar, PAGE);
        kernel.close(device);
    }
}
