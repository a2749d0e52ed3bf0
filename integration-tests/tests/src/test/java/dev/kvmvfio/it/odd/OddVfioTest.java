package dev.kvmvfio.it.odd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.iommufd.iommu_ioas_iova_ranges;
import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.vfio.vfio_device_info;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_info_cap_header;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_unmap;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info_cap_iova_range;
import dev.kvmvfio.bindings.vfio.vfio_irq_info;
import dev.kvmvfio.bindings.vfio.vfio_region_info;
import dev.kvmvfio.bindings.vfio.vfio_region_info_cap_sparse_mmap;
import dev.kvmvfio.bindings.vfio.vfio_region_sparse_mmap_area;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.Region;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Function;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Answers of VFIO and iommufd that cannot be. */
@Tag("mock")
@Timeout(5)
class OddVfioTest {
    private static final PciAddress ADDRESS = PciAddress.parse("0000:6a:01.0");
    private static final long REGION_INFO = vfio_h.VFIO_DEVICE_GET_REGION_INFO();
    private static final long PAGE = 4096;

    private final MockKernel mock = MockKernel.example();

    @AfterEach
    void nothingIsLeft() {
        mock.close();
    }

    private static <T> T withDevice(Kernel kernel, Function<GuestDevice, T> use) {
        return withAttached(kernel, VfioInterface.CDEV, attached -> use.apply(attached.device()));
    }

    private static <T> T withAttached(Kernel kernel, VfioInterface by, Function<AttachedDevice, T> use) {
        try (Kvm kvm = Kvm.open(kernel)) {
            Vm vm = kvm.createVm();
            return use.apply(AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm));
        }
    }

    private static AbstractThrowableAssert<?, ?> assertOdd(Runnable use) {
        return assertThatThrownBy(use::run).isInstanceOf(AnswerException.class);
    }

    private Kernel after(long request, Consumer<MemorySegment> change) {
        return OddKernel.after(mock, request, change);
    }

    /** Of one region; the others stay as they are. */
    private Kernel afterRegion(int index, Consumer<MemorySegment> change) {
        return after(REGION_INFO, info -> {
            if (vfio_region_info.index(info) == index) {
                change.accept(info);
            }
        });
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, -1, Integer.MIN_VALUE, 4097})
    void tooManyRegionsOrInterrupts(int count) {
        String said = Integer.toUnsignedString(count);
        Kernel regions = after(vfio_h.VFIO_DEVICE_GET_INFO(), info -> vfio_device_info.num_regions(info, count));
        assertOdd(() -> withDevice(regions, GuestDevice::regions)).hasMessageMatching(
                "VFIO_DEVICE_GET_INFO on .* answered " + said + " regions, more than .*");
        Kernel interrupts = after(vfio_h.VFIO_DEVICE_GET_INFO(), info -> vfio_device_info.num_irqs(info, count));
        assertOdd(() -> withDevice(interrupts, GuestDevice::interrupts)).hasMessageMatching(
                "VFIO_DEVICE_GET_INFO on .* answered " + said + " kinds of interrupts, more than .*");
    }

    @Test
    void noRegionsAndNoInterrupts() {
        Kernel kernel = after(vfio_h.VFIO_DEVICE_GET_INFO(), info -> {
            vfio_device_info.num_regions(info, 0);
            vfio_device_info.num_irqs(info, 0);
        });
        int things = withDevice(kernel, device -> device.regions().size() + device.interrupts().size());
        assertThat(things).isZero();
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, -1, 2049})
    void tooManyVectors(int count) {
        Kernel kernel = after(vfio_h.VFIO_DEVICE_GET_IRQ_INFO(), info -> vfio_irq_info.count(info, count));
        assertOdd(() -> withDevice(kernel, GuestDevice::interrupts)).hasMessageMatching(
                "VFIO_DEVICE_GET_IRQ_INFO on .* answered " + Integer.toUnsignedString(count)
                        + " vectors for index 0, more than .*");
    }

    @ParameterizedTest
    @CsvSource({"-1,0", "-9223372036854775808,0", "4096,-1", "9223372036854775807,1"})
    void aRegionThatNoFileHas(long size, long offset) {
        Kernel kernel = afterRegion(Region.BAR0, info -> {
            vfio_region_info.size(info, size);
            vfio_region_info.offset(info, offset);
        });
        assertOdd(() -> withDevice(kernel, GuestDevice::regions)).hasMessageContaining(
                String.format("answered for index 0 a size of 0x%x at offset 0x%x", size, offset));
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, -1, 1 << 17})
    void anAnswerThatNeedsMoreThanThereCanBe(int argsz) {
        assertOdd(() -> withDevice(after(REGION_INFO, info -> vfio_region_info.argsz(info, argsz)),
                GuestDevice::regions)).hasMessageMatching(
                        "VFIO_DEVICE_GET_REGION_INFO on .* answered " + Integer.toUnsignedString(argsz)
                                + " bytes as its size, more than .*");
    }

    @Test
    void anAnswerThatAlwaysNeedsMore() {
        Kernel kernel = after(REGION_INFO,
                info -> vfio_region_info.argsz(info, vfio_region_info.argsz(info) + Integer.BYTES));
        assertOdd(() -> withDevice(kernel, GuestDevice::regions)).hasMessageMatching(
                "VFIO_DEVICE_GET_REGION_INFO on .* answered 64 bytes as its size, and got .*");
    }

    @Test
    void anAnswerThatNeedsMoreTwice() {
        AtomicInteger asked = new AtomicInteger();
        Kernel kernel = afterRegion(Region.BAR0, info -> {
            if (asked.incrementAndGet() <= 2) {
                vfio_region_info.argsz(info, vfio_region_info.argsz(info) + 64);
            }
        });
        long size = withDevice(kernel, device -> device.region(Region.BAR0).size());
        assertThat(size).isEqualTo(1 << 17);
        assertThat(asked).hasValue(3);
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, -1, 31})
    void aCapabilityOutside(int offset) {
        Kernel kernel = afterRegion(Region.BAR0, info -> vfio_region_info.cap_offset(info, offset));
        assertThatThrownBy(() -> withDevice(kernel, GuestDevice::regions)).isInstanceOf(AnswerException.class)
                .hasMessageContaining("VFIO_DEVICE_GET_REGION_INFO on ");
    }

    /** A BAR of 0x20000 bytes with one capability, which an answer of its size has. */
    private Kernel withSparseAreas(int count, long... offsetsAndSizes) {
        int first = (int) vfio_region_info.sizeof();
        int size = (int) (first + vfio_region_info_cap_sparse_mmap.sizeof() + offsetsAndSizes.length * Long.BYTES);
        return afterRegion(Region.BAR0, info -> {
            vfio_region_info.argsz(info, size);
            if (info.byteSize() >= size) {
                vfio_region_info.cap_offset(info, first);
                MemorySegment sparse = info.asSlice(first);
                vfio_info_cap_header.id(sparse, (short) vfio_h.VFIO_REGION_INFO_CAP_SPARSE_MMAP());
                vfio_region_info_cap_sparse_mmap.nr_areas(sparse, count);
                MemorySegment.copy(offsetsAndSizes, 0, sparse, ValueLayout.JAVA_LONG,
                        vfio_region_info_cap_sparse_mmap.sizeof(), offsetsAndSizes.length);
            }
        });
    }

    @Test
    void sparseAreasInAnyOrder() {
        Kernel kernel = withSparseAreas(3, 0x10000, 0x10000, 0x1000, 0, 0, 0x1000);
        List<Region.Area> areas = withDevice(kernel, device -> device.region(Region.BAR0).mappableAreas());
        assertThat(areas).containsExactly(
                new Region.Area(0, 0x1000), new Region.Area(0x1000, 0), new Region.Area(0x10000, 0x10000));
        assertThat(vfio_region_sparse_mmap_area.sizeof()).isEqualTo(2 * Long.BYTES);
    }

    @ParameterizedTest
    @ValueSource(ints = {2, Integer.MAX_VALUE, -1})
    void moreSparseAreasThanThereIsRoomFor(int count) {
        assertOdd(() -> withDevice(withSparseAreas(count, 0, 0x1000), GuestDevice::regions)).hasMessageContaining(
                "answered " + Integer.toUnsignedString(count)
                        + " areas for index 0, more than the 1 that there can be");
    }

    @ParameterizedTest
    @CsvSource({"0x20000,0x1000", "0,0x20001", "-4096,8192", "0x1000,-1", "0x7fffffffffffffff,0x7fffffffffffffff"})
    void sparseAreasOutsideOfTheirBar(String offset, String size) {
        assertOdd(() -> withDevice(withSparseAreas(1, Long.decode(offset), Long.decode(size)), GuestDevice::regions))
                .hasMessageContaining("which overlap or are outside of 0x20000 bytes");
    }

    @Test
    void sparseAreasThatOverlap() {
        assertOdd(() -> withDevice(withSparseAreas(2, 0, 0x2000, 0x1000, 0x1000), GuestDevice::regions))
                .hasMessageContaining("the areas [0x0..0x1fff, 0x1000..0x1fff], which overlap");
    }

    /** What the configuration space has at one place. */
    private Kernel withConfig(int position, int bytes, int value) {
        long[] offset = new long[1];
        return OddKernel.of(mock, call -> {
            Object result = call.real();
            if (call.is(REGION_INFO) && vfio_region_info.index(call.struct()) == Region.CONFIG) {
                offset[0] = vfio_region_info.offset(call.struct());
            }
            if (call.is("pread") && call.<Long>argument(2) == offset[0] + position) {
                MemorySegment buffer = call.argument(1);
                for (int i = 0; i < Math.min(bytes, buffer.byteSize()); i++) {
                    buffer.set(ValueLayout.JAVA_BYTE, i, (byte) (value >> i * Byte.SIZE));
                }
            }
            return result;
        });
    }

    private int msixPlace() {
        return withDevice(mock, device -> device.configSpace().capabilities().stream()
                .filter(capability -> capability.id() == 0x11).findFirst().orElseThrow().offset());
    }

    @ParameterizedTest
    @ValueSource(ints = {0x00ff_fff8, 6, 7, 0x0001_fff8, 0x0002_0000})
    void anMsixTableOutsideOfItsBar(int location) {
        Kernel kernel = withConfig(msixPlace() + 4, 4, location);
        assertOdd(() -> withDevice(kernel, GuestDevice::msixTable)).hasMessageMatching(
                "pread on config space of .* answered MsixTable\\[region=" + (location & 7) + ", offset="
                        + (location & ~7) + ", vectors=5], which is outside of its BAR");
        assertOdd(() -> withDevice(kernel, device -> device.mapBar(0)));
    }

    @Test
    void anMsixCapabilityWithoutRoom() {
        Kernel kernel = withConfig(0x34, 1, 0xfc);
        Kernel both = OddKernel.of(kernel, call -> {
            Object result = call.real();
            if (call.is("pread") && call.<MemorySegment>argument(1).byteSize() == 1
                    && (call.<Long>argument(2) & 0xff) == 0xfc) {
                call.<MemorySegment>argument(1).set(ValueLayout.JAVA_BYTE, 0, (byte) 0x11);
            }
            return result;
        });
        assertOdd(() -> withDevice(both, GuestDevice::msixTable))
                .hasMessageContaining("answered an MSI-X capability at 0xfc, without room");
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 4, 255})
    void aConfigurationSpaceThatIsTooSmall(long size) {
        Kernel kernel = afterRegion(Region.CONFIG, info -> vfio_region_info.size(info, size));
        List<Function<GuestDevice, ?>> uses = List.of(GuestDevice::configSpace, GuestDevice::msixTable,
                GuestDevice::vendorId, GuestDevice::deviceId);
        for (Function<GuestDevice, ?> use : uses) {
            assertOdd(() -> withDevice(kernel, use)).hasMessageContaining(
                    "answered " + size + " bytes of configuration space, where PCI has 256");
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 5, 1L << 40})
    void aTransferOfAnotherSize(long transferred) {
        Kernel reads = OddKernel.of(mock, call -> call.is("pread") ? (Object) transferred : call.real());
        assertThatThrownBy(() -> withDevice(reads, GuestDevice::vendorId)).isInstanceOf(KernelException.class)
                .hasMessageContaining("length=2, transferred=" + transferred);
        Kernel writes = OddKernel.of(mock, call -> call.is("pwrite") ? (Object) transferred : call.real());
        assertThatThrownBy(() -> withDevice(writes, device -> {
            device.region(Region.BAR0).writeLong(0, 1);
            return device;
        })).isInstanceOf(KernelException.class).hasMessageContaining("length=8, transferred=" + transferred);
    }

    @Test
    void fewerVectorsThanTheKernelSaidItHas() {
        assertThatThrownBy(() -> enableTwo(OddKernel.answering(mock, vfio_h.VFIO_DEVICE_SET_IRQS(), 1)))
                .isInstanceOf(HostException.class).hasMessageContaining("only 1 of 2 vectors are available");
        assertOdd(() -> enableTwo(OddKernel.answering(mock, vfio_h.VFIO_DEVICE_SET_IRQS(), 2)))
                .hasMessageMatching("VFIO_DEVICE_SET_IRQS on MSI-X of .* answered 2 for 2 vectors");
        assertThatThrownBy(() -> withDevice(OddKernel.answering(mock, vfio_h.VFIO_DEVICE_SET_IRQS(), 3),
                device -> setVector(device, 4))).isInstanceOf(HostException.class)
                .hasMessageContaining("only 3 of 5 vectors are available");
    }

    private static Interrupt enableTwo(Kernel kernel) {
        try (EventFd one = EventFd.create(kernel); EventFd two = EventFd.create(kernel)) {
            return withDevice(kernel, device -> {
                device.interrupt(Interrupt.MSIX).enable(one, two);
                return device.interrupt(Interrupt.MSIX);
            });
        }
    }

    private static Interrupt setVector(GuestDevice device, int vector) {
        try (EventFd eventFd = EventFd.create(device.fd().kernel())) {
            device.interrupt(Interrupt.MSIX).setVector(vector, eventFd);
            return device.interrupt(Interrupt.MSIX);
        }
    }

    private static Object iovaRanges(Kernel kernel, VfioInterface by) {
        return withAttached(kernel, by, attached -> attached.dmaSpace().iovaRanges());
    }

    private Kernel withRanges(int result, Consumer<MemorySegment> change) {
        return OddKernel.of(mock, call -> {
            Object real = call.real();
            if (!call.is(iommufd_h.IOMMU_IOAS_IOVA_RANGES())) {
                return real;
            }
            change.accept(call.struct());
            return result;
        });
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, -1, 17})
    void moreRangesThanThereIsRoomFor(int count) {
        Kernel kernel = withRanges(0, request -> iommu_ioas_iova_ranges.num_iovas(request, count));
        assertOdd(() -> iovaRanges(kernel, VfioInterface.CDEV)).hasMessageMatching(
                "IOMMU_IOAS_IOVA_RANGES on IOAS .* answered " + Integer.toUnsignedString(count)
                        + " ranges, more than the 16 that there can be");
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, -1, 1 << 17})
    void moreRangesThanThereCanBe(int count) {
        Kernel kernel = withRanges(-Errno.EMSGSIZE.number(),
                request -> iommu_ioas_iova_ranges.num_iovas(request, count));
        assertOdd(() -> iovaRanges(kernel, VfioInterface.CDEV)).hasMessageContaining(
                "answered " + Integer.toUnsignedString(count) + " ranges");
    }

    @Test
    void alwaysTooLittleRoomForRanges() {
        Kernel kernel = withRanges(-Errno.EMSGSIZE.number(), request -> {
        });
        assertThatThrownBy(() -> iovaRanges(kernel, VfioInterface.CDEV)).isInstanceOf(KernelException.class)
                .hasMessageMatching("IOMMU_IOAS_IOVA_RANGES on .*num_iovas=16}: EMSGSIZE .*");
        Kernel growing = OddKernel.of(mock, call -> {
            if (call.is(iommufd_h.IOMMU_IOAS_IOVA_RANGES())) {
                iommu_ioas_iova_ranges.num_iovas(call.struct(), 1 + iommu_ioas_iova_ranges.num_iovas(call.struct()));
                return -Errno.EMSGSIZE.number();
            }
            return call.real();
        });
        assertOdd(() -> iovaRanges(growing, VfioInterface.CDEV)).hasMessageContaining("more than the 65536");
    }

    @Test
    void tooLittleRoomForRangesTwice() {
        AtomicInteger asked = new AtomicInteger();
        Kernel kernel = OddKernel.of(mock, call -> {
            if (call.is(iommufd_h.IOMMU_IOAS_IOVA_RANGES()) && asked.incrementAndGet() <= 2) {
                iommu_ioas_iova_ranges.num_iovas(call.struct(), 30 * asked.get());
                return -Errno.EMSGSIZE.number();
            }
            return call.real();
        });
        assertThat(iovaRanges(kernel, VfioInterface.CDEV)).isEqualTo(iovaRanges(mock, VfioInterface.CDEV));
        assertThat(asked).hasValue(3);
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, -1, 1000})
    void moreRangesThanTheContainersAnswerHas(int count) {
        Kernel kernel = after(vfio_h.VFIO_IOMMU_GET_INFO(), info -> {
            int next = vfio_iommu_type1_info.cap_offset(info);
            while (next != 0) {
                MemorySegment capability = info.asSlice(next);
                if (vfio_info_cap_header.id(capability) == vfio_h.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE()) {
                    vfio_iommu_type1_info_cap_iova_range.nr_iovas(capability, count);
                }
                next = vfio_info_cap_header.next(capability);
            }
        });
        assertOdd(() -> iovaRanges(kernel, VfioInterface.GROUP)).hasMessageMatching(
                "VFIO_IOMMU_GET_INFO on .* answered " + Integer.toUnsignedString(count) + " ranges, more than .*");
    }

    @Test
    void aContainersAnswerThatNeedsMoreThanThereCanBe() {
        Kernel kernel = after(vfio_h.VFIO_IOMMU_GET_INFO(), info -> vfio_iommu_type1_info.argsz(info, -1));
        assertOdd(() -> iovaRanges(kernel, VfioInterface.GROUP)).hasMessageMatching(
                "VFIO_IOMMU_GET_INFO on .* answered 4294967295 bytes as its size, more than .*");
    }

    @ParameterizedTest
    @ValueSource(longs = {1, -1, Long.MIN_VALUE, PAGE + 1})
    void anotherSizeThanWasMappedIsUnmapped(long size) {
        AtomicInteger odd = new AtomicInteger(1);
        Kernel kernel = after(vfio_h.VFIO_IOMMU_UNMAP_DMA(), request -> {
            if (odd.getAndDecrement() > 0) {
                vfio_iommu_type1_dma_unmap.size(request, size);
            }
        });
        try (HostMemory memory = HostMemory.allocate(kernel, PAGE)) {
            withAttached(kernel, VfioInterface.GROUP, attached -> {
                var mapping = attached.dmaSpace().map(0, memory);
                assertOdd(mapping::close).hasMessageMatching("VFIO_IOMMU_UNMAP_DMA on .* answered 0x"
                        + Long.toHexString(size) + " bytes for DMA mapping of 0x1000 bytes at IOVA 0x0 in .*");
                return attached;
            });
        }
    }

    @Test
    void theNodeOfACdevThatCannotBeFound() {
        Kernel kernel = OddKernel.of(mock, call -> call.is("deviceNumber") && call.isOn("/dev/vfio/devices/vfio0")
                ? (Object) (long) -Errno.EIO.number()
                : call.real());
        assertThatThrownBy(() -> withDevice(kernel, GuestDevice::flags))
                .hasMessageStartingWith("stat on /dev/vfio/devices/vfio0: EIO");
    }
}
