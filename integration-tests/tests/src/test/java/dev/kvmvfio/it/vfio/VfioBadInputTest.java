package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.dma.DmaAccess;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.KvmVfioException;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockHost;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.AttachRequest;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.VfioCdev;
import dev.kvmvfio.vfio.VfioContainer;
import dev.kvmvfio.vfio.VfioGroup;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.function.Function;
import java.util.function.LongSupplier;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What goes wrong on a host: the message says what and what to do, and a refused attach leaves nothing behind. */
@Tag("mock")
class VfioBadInputTest {
    private static final String DEVICE = "0000:6a:01.0";
    private static final String SIBLING = "0000:6a:01.1";
    private static final long PAGE = 4096;
    private static final long INTERRUPT_WINDOW = 0xfee00000L;

    private MockKernel mock;
    private Kernel kernel;
    private Kvm kvm;
    private Vm vm;
    private HostMemory ram;

    /** A host with one device in group 26, and whatever else a test adds. */
    private static MockHost host(KernelProfile profile) {
        return MockKernel.host(profile).device(DEVICE, device -> device.group(26).bar(0, 1 << 14).msi(1));
    }

    private static MockHost host() {
        return host(KernelProfile.V6_12);
    }

    private void start(MockHost host) {
        mock = host.start();
        kernel = mock;
        kvm = Kvm.open(kernel);
        vm = kvm.createVm();
        ram = HostMemory.allocate(kernel, 256 * PAGE);
    }

    @AfterEach
    void nothingIsLeft() {
        if (kvm != null) {
            kvm.close();
            ram.close();
        }
        mock.close();
    }

    private AttachRequest request(VfioInterface by) {
        return AttachedDevice.request(kernel, PciAddress.parse(DEVICE)).via(by);
    }

    /** Attaches, and compares what is held before with what is held after the refusal. */
    private AbstractThrowableAssert<?, ? extends Throwable> assertRefused(VfioInterface by,
            Function<AttachRequest, AttachedDevice> attach) {
        List<String> before = mock.leaks();
        AbstractThrowableAssert<?, ? extends Throwable> refusal = assertThatThrownBy(() -> attach.apply(request(by)));
        assertThat(mock.leaks()).isEqualTo(before);
        return refusal;
    }

    private AbstractThrowableAssert<?, ? extends Throwable> assertRefused(VfioInterface by) {
        return assertRefused(by, request -> request.attach(vm));
    }

    private void assertAttaches(VfioInterface by) {
        try (GuestMemory memory = GuestMemory.create(vm, 0, ram);
                AttachedDevice attached = request(by).attach(memory)) {
            assertThat(attached.device().vendorId()).isPositive();
        }
    }

    /** Does what a message tells a person to type, as the command line does it. */
    private void run(String remedy) {
        assertThat(remedy).contains("kvm-vfio bind " + DEVICE);
        DriverBinding.bind(PciDevice.find(kernel, PciAddress.parse(DEVICE)), "vfio-pci");
    }

    private void writeSysfs(String path, String words) {
        try (FileDescriptor file = FileDescriptor.open(kernel, path, system_h.O_WRONLY());
                Arena arena = Arena.ofConfined()) {
            byte[] text = (words + "\n").getBytes(StandardCharsets.US_ASCII);
            MemorySegment bytes = arena.allocate(text.length).copyFrom(MemorySegment.ofArray(text));
            assertThat(file.write(bytes)).as(path).isEqualTo(text.length);
        }
    }

    private static String remedyOf(Runnable call) {
        try {
            call.run();
        } catch (KvmVfioException refused) {
            return refused.remedy();
        }
        throw new AssertionError("it works");
    }

    @ParameterizedTest
    @CsvSource({"ENOENT, kvm_amd", "EACCES, group", "EPERM, --device /dev/kvm", "ENODEV, kvm_intel"})
    void kvmCannotBeOpened(Errno errno, String remedy) {
        MockHost host = host();
        mock = (errno == Errno.ENOENT ? host.withoutNode("/dev/kvm") : host.permission("/dev/kvm", errno)).start();
        assertThatThrownBy(() -> Kvm.open(mock)).isInstanceOf(KernelException.class)
                .hasMessageStartingWith("open on /dev/kvm: " + errno).hasMessageContaining(remedy);
    }

    @Test
    void thereIsNoSuchDevice() {
        start(host());
        assertThatThrownBy(() -> AttachedDevice.request(kernel, PciAddress.parse("0000:6a:02.0")))
                .isInstanceOf(HostException.class).hasMessageContaining("there is no PCI device at 0000:6a:02.0")
                .hasMessageContaining("kvm-vfio list");
    }

    @ParameterizedTest
    @ValueSource(strings = {"../../../kernel", "0000:6a:01.0/../0000:6a:01.0", "eth0", ""})
    void thatIsNoAddress(String text) {
        start(host());
        mock.clearTrace();
        assertThatThrownBy(() -> AttachedDevice.request(kernel, PciAddress.parse(text)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"" + text + "\" is no PCI address");
        assertThat(mock.trace()).isEmpty();
    }

    @ParameterizedTest
    @EnumSource
    void theHostsDriverHasTheDevice(VfioInterface by) {
        start(MockKernel.host(KernelProfile.V6_12).device(DEVICE, device -> device.group(26).driver("e1000e")));
        assertRefused(by).isInstanceOf(HostException.class)
                .hasMessageContaining(DEVICE + " is bound to the driver e1000e, not to vfio-pci");
        run(remedyOf(() -> request(by).attach(vm)));
        assertAttaches(by);
    }

    @ParameterizedTest
    @EnumSource
    void noDriverHasTheDevice(VfioInterface by) {
        start(MockKernel.host(KernelProfile.V6_12).device(DEVICE, device -> device.group(26).withoutDriver()));
        assertRefused(by).isInstanceOf(HostException.class)
                .hasMessageContaining(DEVICE + " is bound to no driver, not to vfio-pci");
        run(remedyOf(() -> request(by).attach(vm)));
        assertAttaches(by);
    }

    @ParameterizedTest
    @EnumSource
    void thereIsNoIommu(VfioInterface by) {
        start(MockKernel.host(KernelProfile.V6_12).device(DEVICE, device -> device.driver("e1000e")).withoutIommu());
        assertRefused(by).isInstanceOf(HostException.class).hasMessageContaining("this host has no IOMMU")
                .hasMessageContaining("intel_iommu=on");
    }

    @ParameterizedTest
    @EnumSource
    void theGroupIsNotViable(VfioInterface by) {
        start(host().device(SIBLING, device -> device.group(26).driver("nvme")).device("0000:6a:01.2",
                device -> device.group(26).withoutDriver()));
        assertRefused(by).hasMessageContaining(DEVICE + " (vfio-pci), " + SIBLING
                + " (nvme, blocks the group), 0000:6a:01.2 (no driver)");
        writeSysfs("/sys/bus/pci/drivers/nvme/unbind", SIBLING);
        assertAttaches(by);
    }

    @Test
    void theKernelHasNoCdevs() {
        start(host(KernelProfile.V6_1));
        assertRefused(VfioInterface.CDEV).isInstanceOf(KernelException.class)
                .hasMessageContaining("/dev/vfio/devices/vfio0: ENOENT").hasMessageContaining("CONFIG_VFIO_DEVICE_CDEV")
                .hasMessageContaining("use the group interface");
        try (AttachedDevice attached = AttachedDevice.request(kernel, PciAddress.parse(DEVICE)).attach(vm)) {
            assertThat(attached.choice()).hasToString("group (there is no /dev/vfio/devices/vfio0)");
        }
    }

    @ParameterizedTest
    @CsvSource({"/dev/vfio/devices/vfio0, CONFIG_VFIO_DEVICE_CDEV", "/dev/iommu, CONFIG_IOMMUFD"})
    void aNodeOfTheCdevInterfaceIsMissing(String node, String remedy) {
        start(host().withoutNode(node));
        assertRefused(VfioInterface.CDEV).isInstanceOf(KernelException.class).hasMessageContaining("open on " + node)
                .hasMessageContaining("ENOENT").hasMessageContaining(remedy);
        try (AttachedDevice attached = AttachedDevice.request(kernel, PciAddress.parse(DEVICE)).attach(vm)) {
            assertThat(attached.choice()).hasToString("group (there is no " + node + ")");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"/dev/vfio/vfio", "/dev/vfio/26"})
    void aNodeOfTheGroupInterfaceIsMissing(String node) {
        start(host().withoutNode(node));
        assertRefused(VfioInterface.GROUP).isInstanceOf(KernelException.class)
                .hasMessageContaining("open on " + node + ": ENOENT").hasMessageContaining("--device");
        assertAttaches(VfioInterface.CDEV);
    }

    @ParameterizedTest
    @CsvSource({"CDEV, /dev/iommu", "CDEV, /dev/vfio/devices/vfio0", "GROUP, /dev/vfio/26", "GROUP, /dev/vfio/vfio"})
    void aNodeCannotBeOpened(VfioInterface by, String node) {
        start(host().permission(node, Errno.EACCES));
        assertRefused(by).isInstanceOf(KernelException.class)
                .hasMessageContaining("open on " + node + ": EACCES (Permission denied). Give the user access");
    }

    @Test
    void theNodeIsOfAnotherDevice() {
        start(host());
        kernel = new ObservedKernel(mock) {
            @Override
            protected long call(SystemCall call, LongSupplier made) {
                return made.getAsLong() + (call.operation().equals("stat") ? 3 : 0);
            }
        };
        assertRefused(VfioInterface.CDEV).isInstanceOf(HostException.class)
                .hasMessageContaining(
                        "/dev/vfio/devices/vfio0 is the node 511:3, but " + DEVICE + " has the cdev 511:0")
                .hasMessageContaining("stale");
    }

    @ParameterizedTest
    @CsvSource({"CDEV, CDEV, EINVAL, bound already", "CDEV, GROUP, EBUSY, bound through its cdev",
        "GROUP, CDEV, EBUSY, group is open", "GROUP, GROUP, EBUSY, open only once"})
    void theDeviceIsBusy(VfioInterface first, VfioInterface second, Errno errno, String remedy) {
        start(host());
        Vm other = kvm.createVm();
        try (AttachedDevice attached = request(first).attach(other)) {
            assertRefused(second).isInstanceOf(KernelException.class).hasMessageContaining(errno.name())
                    .hasMessageContaining(remedy);
            assertThat(attached.device().vendorId()).isPositive();
        }
        assertAttaches(second);
    }

    @Test
    void theVmHasItsVfioDeviceAlready() {
        start(host());
        KvmVfioDevice kvmVfio = KvmVfioDevice.create(vm);
        assertRefused(VfioInterface.CDEV).hasMessageContaining("EBUSY").hasMessageContaining("has one already");
        try (AttachedDevice attached = request(VfioInterface.CDEV).attach(kvmVfio)) {
            assertThat(attached.device().vm()).isSameAs(vm);
        }
        assertThat(kvmVfio.isOpen()).isTrue();
    }

    @Test
    void theMemoryAndTheVfioDeviceAreOfTwoVms() {
        start(host());
        Vm other = kvm.createVm();
        GuestMemory memory = GuestMemory.create(vm, 0, ram);
        KvmVfioDevice kvmVfio = KvmVfioDevice.create(other);
        assertRefused(VfioInterface.CDEV, request -> request.attach(memory, kvmVfio))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining(memory.toString())
                .hasMessageContaining(kvmVfio + " of " + other);
    }

    @ParameterizedTest
    @EnumSource
    void memoryIsNotPageAligned(VfioInterface by) {
        start(host());
        assertThatThrownBy(() -> GuestMemory.create(vm, 0x123, ram)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("address 0x123 is not a multiple of the page size 0x1000");
        try (AttachedDevice attached = request(by).attach(vm)) {
            assertThatThrownBy(() -> attached.dmaSpace().map(0x123, ram)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("IOVA 0x123 is not a multiple of the page size 0x1000");
        }
        assertThatThrownBy(() -> HostMemory.allocate(kernel, PAGE + 1)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("length 0x1001 is not a multiple of the page size 0x1000");
    }

    @ParameterizedTest
    @EnumSource
    void theAddressesAreReserved(VfioInterface by) {
        start(host().reserved(0x8000_0000L, 0x8fff_ffffL));
        for (long iova : new long[]{INTERRUPT_WINDOW, INTERRUPT_WINDOW - PAGE, 0x8800_0000L, 1L << 39,
            (1L << 39) - PAGE}) {
            try (GuestMemory memory = GuestMemory.create(vm, iova, ram)) {
                assertRefused(by, request -> request.attach(memory)).isInstanceOf(KernelException.class)
                        .hasMessageContaining(String.format("iova=0x%x", iova)).hasMessageEndingWith(
                                "It can map 0x0..0x7fffffff, 0x90000000..0xfedfffff, 0xfef00000..0x7fffffffff");
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void theAddressesAreMappedAlready(VfioInterface by) {
        start(host());
        try (GuestMemory memory = GuestMemory.create(vm, 0, ram);
                AttachedDevice attached = request(by).attach(memory)) {
            assertThatThrownBy(() -> attached.dmaSpace().map(255 * PAGE, ram)).isInstanceOf(KernelException.class)
                    .hasMessageContaining("EEXIST")
                    .hasMessageContaining("It overlaps [DMA mapping of 0x100000 bytes at IOVA 0x0");
        }
    }

    @ParameterizedTest
    @EnumSource
    void tooLittleMemoryCanBeLocked(VfioInterface by) {
        start(host().memlock(64 << 10));
        try (GuestMemory memory = GuestMemory.create(vm, 0, ram)) {
            assertRefused(by, request -> request.attach(memory)).isInstanceOf(KernelException.class)
                    .hasMessageContaining("ENOMEM")
                    .hasMessageContaining("RLIMIT_MEMLOCK allows this process to pin 64 KiB")
                    .hasMessageContaining("needs 1024 KiB").hasMessageContaining("ulimit -l");
        }
        try (AttachedDevice attached = request(by).attach(vm)) {
            attached.dmaSpace().map(0, ram, 0, 16 * PAGE, DmaAccess.READ);
            assertThatThrownBy(() -> attached.dmaSpace().map(16 * PAGE, ram, 16 * PAGE, PAGE,
                    DmaAccess.READ)).hasMessageContaining("ENOMEM");
        }
    }

    @ParameterizedTest
    @EnumSource
    void interruptsAreNotRemapped(VfioInterface by) {
        start(host().withoutInterruptRemapping());
        assertRefused(by).isInstanceOf(KernelException.class).hasMessageContaining("EPERM")
                .hasMessageContaining("interrupt remapping");
    }

    @ParameterizedTest
    @EnumSource
    void theAdministratorAllowsUnsafeInterrupts(VfioInterface by) {
        start(host().withoutInterruptRemapping().allowUnsafeInterrupts());
        assertAttaches(by);
    }

    @Test
    void theDriverWorksForAVmOnly() {
        start(host().device(SIBLING, device -> device.group(27).needsVm()));
        PciDevice sibling = PciDevice.find(kernel, PciAddress.parse(SIBLING));
        try (Iommufd iommufd = Iommufd.open(kernel); VfioCdev cdev = VfioCdev.open(sibling)) {
            assertThatThrownBy(() -> cdev.bindWithoutKvm(iommufd)).isInstanceOf(KernelException.class)
                    .hasMessageContaining("EINVAL").hasMessageContaining("register it with KVM");
        }
        try (VfioGroup group = VfioGroup.open(sibling.iommuGroup().orElseThrow());
                VfioContainer container = VfioContainer.open(group)) {
            assertThatThrownBy(() -> group.openDeviceWithoutKvm(container, sibling.address()))
                    .isInstanceOf(KernelException.class).hasMessageContaining("EINVAL")
                    .hasMessageContaining("register the group with KVM");
        }
        for (VfioInterface by : VfioInterface.values()) {
            AttachedDevice.request(kernel, sibling.address()).via(by).attach(vm).close();
        }
    }

    @ParameterizedTest
    @CsvSource({"CDEV, KVM_CREATE_DEVICE, ENODEV, CONFIG_KVM_VFIO", "CDEV, KVM_DEV_VFIO_FILE_ADD, EINVAL, groups only",
        "CDEV, VFIO_DEVICE_BIND_IOMMUFD, ENODEV, no IOMMU group",
        "CDEV, VFIO_DEVICE_ATTACH_IOMMUFD_PT, EINVAL, Another device of its group",
        "GROUP, VFIO_GROUP_GET_DEVICE_FD, ENODEV, The group's devices are 0000:6a:01.0 (vfio-pci)",
        "GROUP, VFIO_IOMMU_MAP_DMA, ENOSPC, dma_entry_limit",
        "GROUP, VFIO_GROUP_SET_CONTAINER, EINVAL, in a container already"})
    void theKernelRefusesAStep(VfioInterface by, String call, Errno errno, String remedy) {
        start(host());
        mock.failCall(call, 1, errno);
        try (GuestMemory memory = GuestMemory.create(vm, 0, ram)) {
            assertRefused(by, request -> request.attach(memory)).isInstanceOfSatisfying(KernelException.class,
                    refused -> {
                        assertThat(refused.errno()).isEqualTo(errno);
                        assertThat(refused.operation()).isEqualTo(call);
                        assertThat(refused.remedy()).contains(remedy);
                    });
        }
        assertThat(mock.hasPendingFaults()).isFalse();
        assertAttaches(by);
    }
}
