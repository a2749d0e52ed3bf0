package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.bindings.vfio.vfio_device_feature;
import dev.kvmvfio.bindings.vfio.vfio_device_info;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_info_cap_header;
import dev.kvmvfio.bindings.vfio.vfio_irq_info;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset_info;
import dev.kvmvfio.bindings.vfio.vfio_region_info;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.PciEndpoint;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a program can do with an open device. */
class DeviceTest {
    private static final String DEVICE = "0000:6a:01.0";
    private static final int PAGE = 4096;
    private static final int CONFIG = vfio_h.VFIO_PCI_CONFIG_REGION_INDEX();
    private static final int INTX = vfio_h.VFIO_PCI_INTX_IRQ_INDEX();
    private static final int MSI = vfio_h.VFIO_PCI_MSI_IRQ_INDEX();
    private static final int MSIX = vfio_h.VFIO_PCI_MSIX_IRQ_INDEX();
    private static final int ERROR = vfio_h.VFIO_PCI_ERR_IRQ_INDEX();
    private static final int REQUEST = vfio_h.VFIO_PCI_REQ_IRQ_INDEX();
    private static final int NONE = vfio_h.VFIO_IRQ_SET_DATA_NONE();
    private static final int BOOL = vfio_h.VFIO_IRQ_SET_DATA_BOOL();
    private static final int EVENTFD = vfio_h.VFIO_IRQ_SET_DATA_EVENTFD();
    private static final int TRIGGER = vfio_h.VFIO_IRQ_SET_ACTION_TRIGGER();
    private static final int MASK = vfio_h.VFIO_IRQ_SET_ACTION_MASK();
    private static final int UNMASK = vfio_h.VFIO_IRQ_SET_ACTION_UNMASK();

    private MockKernel kernel;
    private Calls calls;
    private PciEndpoint endpoint;
    private int iommufd;
    private int device;

    @BeforeEach
    void start() {
        use(MockKernel.example());
    }

    private void use(MockKernel host) {
        kernel = host;
        calls = new Calls(kernel);
        endpoint = kernel.endpoint(DEVICE);
        int[] files = kernel.deviceNumber("/dev/iommu") < 0
                ? calls.openGroup(26, vfio_h.VFIO_TYPE1v2_IOMMU())
                : calls.attachCdev("vfio0");
        device = files[0];
        iommufd = files[1];
        if (kernel.deviceNumber("/dev/iommu") < 0) {
            device = calls.deviceFd(files[0], DEVICE);
            kernel.close(files[0]);
        }
    }

    private void restart(MockHost host) {
        close();
        use(host.start());
    }

    @AfterEach
    void close() {
        calls.close(device, iommufd);
        kernel.close();
    }

    @Test
    void deviceInfo() {
        MemorySegment info = calls.bytes(vfio_device_info.sizeof());
        vfio_device_info.argsz(info, 15);
        assertThat(errno(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_INFO(), info))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_INFO(), 8))).isEqualTo(Errno.EFAULT);
        vfio_device_info.argsz(info, 16);
        vfio_device_info.pad(info, 77);
        assertThat(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_INFO(), info)).isZero();
        assertThat(vfio_device_info.flags(info))
                .isEqualTo(vfio_h.VFIO_DEVICE_FLAGS_PCI() | vfio_h.VFIO_DEVICE_FLAGS_RESET());
        assertThat(vfio_device_info.num_regions(info)).isEqualTo(9);
        assertThat(vfio_device_info.num_irqs(info)).isEqualTo(5);
        assertThat(vfio_device_info.pad(info)).as("beyond argsz").isEqualTo(77);
        assertThat(errno(kernel.ioctl(device, 0x3bcc, 0))).isEqualTo(Errno.ENOTTY);
    }

    private MemorySegment regionInfo(int index, int argsz) {
        MemorySegment info = calls.bytes(Math.max(argsz, 32));
        vfio_region_info.argsz(info, argsz);
        vfio_region_info.index(info, index);
        assertThat(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_REGION_INFO(), info)).isZero();
        return info;
    }

    private Errno refusedRegion(int index, int argsz) {
        MemorySegment info = calls.bytes(32);
        vfio_region_info.argsz(info, argsz);
        vfio_region_info.index(info, index);
        return errno(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_REGION_INFO(), info));
    }

    @Test
    void regionInfo() {
        int readWrite = vfio_h.VFIO_REGION_INFO_FLAG_READ() | vfio_h.VFIO_REGION_INFO_FLAG_WRITE();
        int mappable = readWrite | vfio_h.VFIO_REGION_INFO_FLAG_MMAP();
        assertThat(refusedRegion(0, 31)).isEqualTo(Errno.EINVAL);
        assertThat(refusedRegion(9, 32)).isEqualTo(Errno.EINVAL);
        assertThat(refusedRegion(-1, 32)).isEqualTo(Errno.EINVAL);
        assertThat(refusedRegion(vfio_h.VFIO_PCI_VGA_REGION_INDEX(), 32)).as("no VGA").isEqualTo(Errno.EINVAL);
        MemorySegment bar = regionInfo(1, 32);
        assertThat(vfio_region_info.size(bar)).isEqualTo(1 << 17);
        assertThat(vfio_region_info.flags(bar)).isEqualTo(mappable);
        assertThat(vfio_region_info.offset(bar)).isEqualTo(1L << 40);
        assertThat(vfio_region_info.flags(regionInfo(2, 32))).as("ports").isEqualTo(readWrite);
        assertThat(vfio_region_info.size(regionInfo(4, 32))).as("no such BAR").isZero();
        assertThat(vfio_region_info.flags(regionInfo(4, 32))).isZero();
        assertThat(vfio_region_info.size(regionInfo(CONFIG, 32))).isEqualTo(4096);
    }

    @Test
    void theRegionWithTheMsiXTable() {
        MemorySegment small = regionInfo(3, 32);
        assertThat(vfio_region_info.flags(small) & vfio_h.VFIO_REGION_INFO_FLAG_CAPS()).isNotZero();
        assertThat(vfio_region_info.argsz(small)).isEqualTo(40);
        assertThat(vfio_region_info.cap_offset(small)).isZero();
        MemorySegment info = regionInfo(3, 40);
        assertThat(vfio_region_info.cap_offset(info)).isEqualTo(32);
        MemorySegment capability = info.asSlice(32, 8);
        assertThat((int) vfio_info_cap_header.id(capability)).isEqualTo(vfio_h.VFIO_REGION_INFO_CAP_MSIX_MAPPABLE());
        assertThat(vfio_info_cap_header.next(capability)).isZero();
    }

    @Test
    void configurationSpace() {
        assertThat(calls.readInt(device, CONFIG, 0)).isEqualTo(0x10d3_8086L);
        assertThat(calls.readInt(device, CONFIG, 4) & 0xffff).as("decoding on, no bus mastering").isEqualTo(3);
        assertThat(calls.readInt(device, CONFIG, 8)).isEqualTo(0x0200_0000L);
        assertThat(calls.readInt(device, CONFIG, 0x2c)).isEqualTo(0xa01f_8086L);
        calls.writeInt(device, CONFIG, 0, 0);
        assertThat(calls.readInt(device, CONFIG, 0)).as("read-only").isEqualTo(0x10d3_8086L);
        calls.writeInt(device, CONFIG, 0x10, 0xffff_ffffL);
        assertThat(calls.readInt(device, CONFIG, 0x10)).as("size of BAR 0").isEqualTo(0xfffe_0000L);
        calls.writeInt(device, CONFIG, 0x18, 0xffff_ffffL);
        assertThat(calls.readInt(device, CONFIG, 0x18)).as("size of BAR 2").isEqualTo(0xffff_ffe1L);
        MemorySegment whole = calls.bytes(4096);
        assertThat(kernel.pread(device, whole, calls.regionOffset(CONFIG, 0))).isEqualTo(4096);
        assertThat(errno(kernel.pread(device, whole, calls.regionOffset(CONFIG, 1)))).isEqualTo(Errno.EFAULT);
        assertThat(errno(kernel.pread(device, whole, calls.regionOffset(CONFIG, 4096)))).isEqualTo(Errno.EFAULT);
    }

    @Test
    void theListOfCapabilities() {
        StringBuilder found = new StringBuilder();
        long offset = calls.readInt(device, CONFIG, 0x34) & 0xff;
        while (offset != 0) {
            long header = calls.readInt(device, CONFIG, offset);
            found.append(String.format("%02x ", header & 0xff));
            offset = header >>> 8 & 0xff;
        }
        assertThat(found.toString()).as("power, MSI, MSI-X, PCI Express").isEqualTo("01 05 11 10 ");
    }

    @Test
    void barsAreReadWrittenAndMapped() {
        assertThat(calls.writeInt(device, 0, 0x100, 0x1234_5678L)).isEqualTo(4);
        assertThat(calls.readInt(device, 0, 0x100)).isEqualTo(0x1234_5678L);
        long address = calls.mapBar(device, 0, 0, PAGE);
        long again = calls.mapBar(device, 0, 0, PAGE);
        assertThat(again).as("an address of its own").isNotEqualTo(address);
        MemorySegment bar = Calls.at(address, PAGE);
        assertThat(bar.get(ValueLayout.JAVA_INT, 0x100)).isEqualTo(0x1234_5678);
        bar.set(ValueLayout.JAVA_INT, 0x104, 99);
        assertThat(calls.readInt(device, 0, 0x104)).isEqualTo(99);
        assertThat(Calls.at(again, PAGE).get(ValueLayout.JAVA_INT, 0x104)).isEqualTo(99);
        assertThat(endpoint.bar(0).get(ValueLayout.JAVA_INT, 0x104)).isEqualTo(99);
        kernel.munmap(address, PAGE);
        kernel.munmap(again, PAGE);
    }

    @Test
    void accessesThatReachOutside() {
        MemorySegment buffer = calls.bytes(64);
        assertThat(kernel.pread(device, buffer, calls.regionOffset(0, (1 << 17) - 16))).as("cut short").isEqualTo(16);
        assertThat(errno(kernel.pread(device, buffer, calls.regionOffset(0, 1 << 17)))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.pread(device, buffer, calls.regionOffset(4, 0)))).as("no BAR").isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.pread(device, buffer, calls.regionOffset(9, 0)))).isEqualTo(Errno.EINVAL);
        int rom = vfio_h.VFIO_PCI_ROM_REGION_INDEX();
        assertThat(errno(kernel.pwrite(device, buffer, calls.regionOffset(rom, 0)))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapBar(device, 0, 1 << 17, PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapBar(device, 0, 0, (1 << 17) + PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapBar(device, 2, 0, PAGE))).as("ports").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapBar(device, CONFIG, 0, PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.mapBar(device, rom, 0, PAGE))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.mmap(PAGE, system_h.PROT_READ(), system_h.MAP_PRIVATE(), device, 0)))
                .as("a private copy of a device").isEqualTo(Errno.EINVAL);
    }

    @Test
    void theMsiXTableIsHidden() {
        long table = 1 << 13;
        assertThat(calls.writeInt(device, 3, table, 5)).as("dropped").isEqualTo(4);
        assertThat(calls.readInt(device, 3, table)).isEqualTo(0xffff_ffffL);
        assertThat(calls.writeInt(device, 3, table - 4, 5)).isEqualTo(4);
        assertThat(calls.readInt(device, 3, table - 4)).isEqualTo(5);
    }

    @Test
    void aDeviceThatDoesNotDecodeItsMemory() {
        calls.writeInt(device, CONFIG, 4, 0);
        assertThat(errno(calls.readInt(device, 0, 0))).isEqualTo(Errno.EIO);
        calls.writeInt(device, CONFIG, 4, 2);
        assertThat(calls.readInt(device, 0, 0)).isZero();
    }

    private MemorySegment irqInfo(int index) {
        MemorySegment info = calls.struct(vfio_irq_info.layout());
        vfio_irq_info.argsz(info, (int) info.byteSize());
        vfio_irq_info.index(info, index);
        assertThat(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_IRQ_INFO(), info)).isZero();
        return info;
    }

    @Test
    void interruptInfo() {
        int noResize = vfio_h.VFIO_IRQ_INFO_NORESIZE();
        int eventFd = vfio_h.VFIO_IRQ_INFO_EVENTFD();
        assertThat(vfio_irq_info.flags(irqInfo(INTX))).isEqualTo(7);
        assertThat(vfio_irq_info.count(irqInfo(INTX))).isEqualTo(1);
        assertThat(vfio_irq_info.flags(irqInfo(MSI))).isEqualTo(eventFd | noResize);
        assertThat(vfio_irq_info.count(irqInfo(MSI))).isEqualTo(1);
        assertThat(vfio_irq_info.flags(irqInfo(MSIX))).as("dynamic").isEqualTo(eventFd);
        assertThat(vfio_irq_info.count(irqInfo(MSIX))).isEqualTo(5);
        assertThat(vfio_irq_info.count(irqInfo(ERROR))).isEqualTo(1);
        assertThat(vfio_irq_info.count(irqInfo(REQUEST))).isEqualTo(1);
        MemorySegment info = calls.struct(vfio_irq_info.layout());
        vfio_irq_info.argsz(info, 16);
        vfio_irq_info.index(info, 5);
        assertThat(errno(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_IRQ_INFO(), info))).isEqualTo(Errno.EINVAL);
    }

    @Test
    void whatSetIrqsRefuses() {
        int eventFd = calls.eventFd();
        assertThat(errno(calls.setIrqs(device, 5, 0, NONE | TRIGGER, 0))).as("index").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.setIrqs(device, MSIX, 5, EVENTFD | TRIGGER, 1, eventFd))).as("start")
                .isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.setIrqs(device, MSIX, 4, EVENTFD | TRIGGER, 2, eventFd, eventFd))).as("count")
                .isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.setIrqs(device, MSIX, 0, EVENTFD | NONE | TRIGGER, 1, eventFd))).as("two kinds of data")
                .isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.setIrqs(device, MSIX, 0, EVENTFD | TRIGGER, 2, eventFd))).as("short data")
                .isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.setIrqs(device, MSIX, 0, 1 << 9, 1))).as("flag").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.setIrqs(device, MSIX, 0, NONE | MASK, 1))).isEqualTo(Errno.ENOTTY);
        assertThat(errno(calls.setIrqs(device, ERROR, 0, NONE | UNMASK, 1))).isEqualTo(Errno.ENOTTY);
        assertThat(errno(calls.setIrqs(device, MSIX, 0, NONE | TRIGGER, 0))).as("not enabled").isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.setIrqs(device, MSIX, 0, EVENTFD | TRIGGER, 1, 1000))).isEqualTo(Errno.EBADF);
        assertThat(errno(calls.setIrqs(device, MSIX, 0, EVENTFD | TRIGGER, 1, iommufd))).isEqualTo(Errno.EINVAL);
        assertThat(calls.setIrqs(device, INTX, 0, EVENTFD | TRIGGER, 1, eventFd)).as("nothing was enabled").isZero();
        assertThat(errno(calls.setIrqs(device, MSIX, 0, EVENTFD | TRIGGER, 1, eventFd))).as("INTx is")
                .isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.setIrqs(device, INTX, 0, EVENTFD | MASK, 1, eventFd))).isEqualTo(Errno.ENOTTY);
        kernel.close(eventFd);
    }

    @Test
    void messages() {
        int first = calls.eventFd();
        int second = calls.eventFd();
        assertThat(endpoint.sendMessage(0)).as("not enabled").isFalse();
        assertThat(calls.setIrqs(device, MSIX, 1, EVENTFD | TRIGGER, 2, first, second)).isZero();
        assertThat(endpoint.sendMessage(2)).as("a message is a write to memory").isFalse();
        calls.setBusMaster(device);
        assertThat(endpoint.sendMessage(2)).isTrue();
        assertThat(calls.take(second)).isEqualTo(1);
        assertThat(calls.take(first)).isZero();
        assertThat(endpoint.sendMessage(0)).as("no eventfd").isFalse();
        assertThat(calls.setIrqs(device, MSIX, 1, NONE | TRIGGER, 2)).as("fired by hand").isZero();
        assertThat(calls.take(first) + calls.take(second)).isEqualTo(2);
        assertThat(calls.setIrqs(device, MSIX, 2, EVENTFD | TRIGGER, 1, -1)).as("taken away").isZero();
        assertThat(endpoint.sendMessage(2)).isFalse();
        assertThat(calls.setIrqs(device, MSIX, 4, EVENTFD | TRIGGER, 1, second)).as("added").isZero();
        assertThat(endpoint.sendMessage(4)).isTrue();
        assertThat(calls.take(second)).isEqualTo(1);
        assertThat(calls.setIrqs(device, MSIX, 0, NONE | TRIGGER, 0)).as("disabled").isZero();
        assertThat(endpoint.sendMessage(1)).isFalse();
        calls.close(first, second);
    }

    @Test
    void aBlockThatFailsIsTakenBack() {
        int eventFd = calls.eventFd();
        calls.setIrqs(device, MSIX, 0, EVENTFD | TRIGGER, 1, eventFd);
        assertThat(errno(calls.setIrqs(device, MSIX, 0, EVENTFD | TRIGGER, 2, eventFd, 1000))).isEqualTo(Errno.EBADF);
        assertThat(endpoint.sendMessage(0)).as("also the one that was there").isFalse();
        assertThat(calls.setIrqs(device, MSIX, 0, NONE | TRIGGER, 0)).as("still enabled").isZero();
        kernel.close(eventFd);
    }

    @Test
    void someByHand() {
        int[] eventFds = {calls.eventFd(), calls.eventFd()};
        calls.setIrqs(device, MSIX, 0, EVENTFD | TRIGGER, 2, eventFds);
        MemorySegment set = calls.bytes(24);
        set.set(ValueLayout.JAVA_INT, 0, 22);
        set.set(ValueLayout.JAVA_INT, 4, BOOL | TRIGGER);
        set.set(ValueLayout.JAVA_INT, 8, MSIX);
        set.set(ValueLayout.JAVA_INT, 16, 2);
        set.set(ValueLayout.JAVA_BYTE, 21, (byte) 1);
        assertThat(kernel.ioctl(device, vfio_h.VFIO_DEVICE_SET_IRQS(), set)).isZero();
        assertThat(calls.take(eventFds[0])).isZero();
        assertThat(calls.take(eventFds[1])).isEqualTo(1);
        calls.close(eventFds);
    }

    @Test
    void olderKernelsDoNotAddMessages() {
        restart(MockKernel.host(KernelProfile.V6_1).device(DEVICE, d -> d.group(26).bar(0, PAGE).msix(8)));
        int eventFd = calls.eventFd();
        assertThat(vfio_irq_info.flags(irqInfo(MSIX)) & vfio_h.VFIO_IRQ_INFO_NORESIZE()).isNotZero();
        assertThat(calls.setIrqs(device, MSIX, 0, EVENTFD | TRIGGER, 2, eventFd, eventFd)).isZero();
        assertThat(errno(calls.setIrqs(device, MSIX, 2, EVENTFD | TRIGGER, 1, eventFd))).isEqualTo(Errno.EINVAL);
        kernel.close(eventFd);
    }

    @Test
    void theLineIsMaskedUntilTheProgramHasSeenToIt() {
        int eventFd = calls.eventFd();
        assertThat(calls.setIrqs(device, INTX, 0, EVENTFD | TRIGGER, 1, eventFd)).isZero();
        endpoint.raiseIntx();
        assertThat(calls.take(eventFd)).isEqualTo(1);
        endpoint.raiseIntx();
        assertThat(calls.take(eventFd)).as("masked").isZero();
        assertThat(calls.setIrqs(device, INTX, 0, NONE | UNMASK, 1)).isZero();
        assertThat(calls.take(eventFd)).as("still raised").isEqualTo(1);
        endpoint.lowerIntx();
        assertThat(calls.setIrqs(device, INTX, 0, NONE | UNMASK, 1)).isZero();
        assertThat(calls.take(eventFd)).isZero();
        endpoint.raiseIntx();
        assertThat(calls.take(eventFd)).isEqualTo(1);
        calls.setIrqs(device, INTX, 0, NONE | TRIGGER, 0);
        kernel.close(eventFd);
    }

    @Test
    void anEventFdUnmasksTheLine() {
        int trigger = calls.eventFd();
        int unmask = calls.eventFd();
        assertThat(errno(calls.setIrqs(device, INTX, 0, EVENTFD | UNMASK, 1, unmask))).as("not enabled")
                .isEqualTo(Errno.EINVAL);
        calls.setIrqs(device, INTX, 0, EVENTFD | TRIGGER, 1, trigger);
        assertThat(errno(calls.setIrqs(device, INTX, 0, EVENTFD | UNMASK, 1, 1000))).isEqualTo(Errno.EBADF);
        assertThat(calls.setIrqs(device, INTX, 0, EVENTFD | UNMASK, 1, unmask)).isZero();
        assertThat(errno(calls.setIrqs(device, INTX, 0, EVENTFD | UNMASK, 1, unmask))).isEqualTo(Errno.EBUSY);
        endpoint.raiseIntx();
        calls.take(trigger);
        calls.signal(unmask);
        assertThat(calls.take(trigger)).isEqualTo(1);
        assertThat(calls.take(unmask)).as("the kernel took it").isZero();
        assertThat(calls.setIrqs(device, INTX, 0, EVENTFD | UNMASK, 1, -1)).isZero();
        calls.signal(unmask);
        assertThat(calls.take(unmask)).isEqualTo(1);
        calls.close(trigger, unmask);
    }

    @Test
    void theCommandRegisterSwitchesTheLineOff() {
        int eventFd = calls.eventFd();
        calls.setIrqs(device, INTX, 0, EVENTFD | TRIGGER, 1, eventFd);
        calls.writeInt(device, CONFIG, 4, 0x403);
        endpoint.raiseIntx();
        assertThat(calls.take(eventFd)).isZero();
        calls.writeInt(device, CONFIG, 4, 0x003);
        assertThat(calls.take(eventFd)).as("it was raised meanwhile").isEqualTo(1);
        kernel.close(eventFd);
    }

    @Test
    void interruptsReachTheGuest() {
        int kvm = calls.open("/dev/kvm");
        int vm = calls.createVm(kvm);
        kernel.ioctl(vm, kvm_h.KVM_CREATE_IRQCHIP(), 0);
        int trigger = calls.eventFd();
        int unmask = calls.eventFd();
        calls.setIrqs(device, INTX, 0, EVENTFD | TRIGGER, 1, trigger);
        calls.setIrqs(device, INTX, 0, EVENTFD | UNMASK, 1, unmask);
        assertThat(calls.irqFd(vm, trigger, 10, kvm_h.KVM_IRQFD_FLAG_RESAMPLE(), unmask)).isZero();
        MockGuest guest = kernel.guest(vm);
        endpoint.raiseIntx();
        assertThat(guest.interrupts(10)).isEqualTo(1);
        assertThat(calls.take(trigger)).as("KVM took it").isZero();
        guest.acknowledge(10);
        assertThat(guest.interrupts(10)).as("still raised").isEqualTo(2);
        endpoint.lowerIntx();
        guest.acknowledge(10);
        assertThat(guest.interrupts(10)).isEqualTo(2);
        calls.close(trigger, unmask, vm, kvm);
    }

    @Test
    void theGuestsWritesReachEventFds() {
        int kvm = calls.open("/dev/kvm");
        int vm = calls.createVm(kvm);
        int doorbell = calls.eventFd();
        calls.ioEventFd(vm, doorbell, 0xc000_0000L, 4, kvm_h.KVM_IOEVENTFD_FLAG_DATAMATCH(), 7);
        MockGuest guest = kernel.guest(vm);
        assertThat(guest.writeMmio(0xc000_0000L, 4, 8)).as("another value").isFalse();
        assertThat(guest.writeMmio(0xc000_0000L, 4, 7)).isTrue();
        assertThat(guest.writePort(0x60, 1, 0)).isFalse();
        assertThat(calls.take(doorbell)).isEqualTo(1);
        calls.close(doorbell, vm, kvm);
    }

    @Test
    void errorsAndRequests() {
        int eventFd = calls.eventFd();
        assertThat(endpoint.requestRelease()).isFalse();
        assertThat(errno(calls.setIrqs(device, REQUEST, 0, NONE | TRIGGER, 1))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.setIrqs(device, REQUEST, 0, EVENTFD | TRIGGER, 1, -2))).isEqualTo(Errno.EINVAL);
        assertThat(calls.setIrqs(device, REQUEST, 0, EVENTFD | TRIGGER, 1, eventFd)).isZero();
        assertThat(endpoint.requestRelease()).isTrue();
        assertThat(calls.setIrqs(device, REQUEST, 0, NONE | TRIGGER, 1)).isZero();
        assertThat(calls.take(eventFd)).isEqualTo(2);
        assertThat(calls.setIrqs(device, REQUEST, 0, EVENTFD | TRIGGER, 1, -1)).isZero();
        assertThat(endpoint.requestRelease()).isFalse();
        assertThat(calls.setIrqs(device, ERROR, 0, EVENTFD | TRIGGER, 1, eventFd)).isZero();
        assertThat(endpoint.reportError()).isTrue();
        assertThat(calls.setIrqs(device, ERROR, 0, NONE | TRIGGER, 0)).isZero();
        assertThat(endpoint.reportError()).isFalse();
        kernel.close(eventFd);
    }

    @Test
    void reset() {
        assertThat(kernel.ioctl(device, vfio_h.VFIO_DEVICE_RESET(), 0)).isZero();
        restart(MockKernel.host(KernelProfile.V6_12).device(DEVICE, d -> d.cdev("vfio0").withoutReset()));
        assertThat(errno(kernel.ioctl(device, vfio_h.VFIO_DEVICE_RESET(), 0))).isEqualTo(Errno.EINVAL);
        MemorySegment info = calls.bytes(12);
        vfio_pci_hot_reset_info.argsz(info, 12);
        int hotReset = vfio_h.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO();
        assertThat(errno(kernel.ioctl(device, hotReset, info))).as("on the root bus").isEqualTo(Errno.ENODEV);
    }

    private Errno feature(int argsz, int flags) {
        MemorySegment feature = calls.bytes(32);
        vfio_device_feature.argsz(feature, argsz);
        vfio_device_feature.flags(feature, flags);
        return errno(kernel.ioctl(device, vfio_h.VFIO_DEVICE_FEATURE(), feature));
    }

    @Test
    void features() {
        int get = vfio_h.VFIO_DEVICE_FEATURE_GET();
        int set = vfio_h.VFIO_DEVICE_FEATURE_SET();
        int probe = vfio_h.VFIO_DEVICE_FEATURE_PROBE();
        int lowPower = vfio_h.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY();
        assertThat(feature(7, probe)).isEqualTo(Errno.EINVAL);
        assertThat(feature(8, 1 << 20)).isEqualTo(Errno.EINVAL);
        assertThat(feature(8, get | set)).isEqualTo(Errno.EINVAL);
        assertThat(feature(8, vfio_h.VFIO_DEVICE_FEATURE_MIGRATION() | probe | get)).isEqualTo(Errno.ENOTTY);
        assertThat(feature(8, lowPower | probe | set)).isNull();
        assertThat(feature(8, lowPower | probe | get)).as("it cannot be read").isEqualTo(Errno.EINVAL);
        assertThat(feature(8, lowPower)).as("neither").isEqualTo(Errno.EINVAL);
    }

    @Test
    void dma() {
        MemorySegment buffer = calls.bytes(8);
        assertThat(endpoint.read(0, buffer)).as("bus mastering is off").isFalse();
        calls.setBusMaster(device);
        assertThat(endpoint.read(0, buffer)).as("nothing is mapped").isFalse();
        assertThat(kernel.dmaFaults()).hasSize(2).last().hasToString(DEVICE + ": DMA read of 0x0: 0x0 is not mapped");
        long memory = calls.mapMemory(2 * PAGE);
        calls.map(iommufd, 2, 0x10000, memory, PAGE, 5);
        calls.mapFixed(iommufd, 2, 0x11000, memory + PAGE, PAGE);
        Calls.at(memory, 2 * PAGE).set(ValueLayout.JAVA_LONG_UNALIGNED, PAGE - 4, 0x1122_3344_5566_7788L);
        assertThat(endpoint.read(0x10ffc, buffer)).as("across two areas").isTrue();
        assertThat(buffer.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(0x1122_3344_5566_7788L);
        assertThat(endpoint.write(0x10000, buffer)).as("read-only").isFalse();
        assertThat(endpoint.write(0x11008, buffer)).isTrue();
        assertThat(Calls.at(memory, 2 * PAGE).get(ValueLayout.JAVA_LONG, PAGE + 8)).isEqualTo(0x1122_3344_5566_7788L);
        kernel.munmap(memory, 2 * PAGE);
        assertThat(endpoint.read(0x11008, buffer)).as("pinned pages stay").isTrue();
        assertThat(buffer.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(0x1122_3344_5566_7788L);
        calls.detach(device);
        assertThat(endpoint.read(0x11008, buffer)).isFalse();
    }
}
