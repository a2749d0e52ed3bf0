package dev.kvmvfio.mock.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.mock.MockDevice;
import dev.kvmvfio.mock.MockHost;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Devices that change hands, and those that must not. */
class DriverBindingTest {
    private static final String ADDRESS = "0000:6c:00.1";
    private static final String MOUNT = "22 1 %s / %s rw,relatime shared:1 - ext4 %s rw\n";

    private static MockHost host(UnaryOperator<MockDevice> device) {
        return MockKernel.host(KernelProfile.V6_12).device(ADDRESS, d -> device.apply(d.group(28).driver("nvme")));
    }

    private static PciDevice device(MockKernel kernel) {
        return PciDevice.find(kernel, PciAddress.parse(ADDRESS));
    }

    private static List<String> uses(MockHost host) {
        try (MockKernel kernel = host.start()) {
            return device(kernel).uses();
        }
    }

    @Test
    void aDeviceIsGivenAndGivenBack() {
        try (MockKernel kernel = host(d -> d.disk("nvme0n1")).start()) {
            PciDevice device = device(kernel);
            DriverBinding before = DriverBinding.bind(device, "vfio-pci");
            assertThat(device.driver()).hasValue("vfio-pci");
            assertThat(device.vfioName()).isPresent();
            assertThat(DriverBinding.of(device).override()).hasValue("vfio-pci");
            before.restore();
            assertThat(DriverBinding.of(device)).isEqualTo(before)
                    .isEqualTo(new DriverBinding(device, Optional.of("nvme"), Optional.empty()));
        }
    }

    @Test
    void aDeviceWithoutADriverGoesBackToNone() {
        try (MockKernel kernel = MockKernel.host(KernelProfile.V6_12).device(ADDRESS, d -> d.withoutDriver()).start()) {
            DriverBinding before = DriverBinding.bind(device(kernel), "vfio-pci");
            before.restore();
            assertThat(device(kernel).driver()).isEmpty();
            assertThat(DriverBinding.of(device(kernel)).override()).isEmpty();
        }
    }

    @Test
    void aReleasedDeviceGoesToTheDriverThatSuitsIt() {
        try (MockKernel kernel = host(d -> d).start()) {
            DriverBinding.bind(device(kernel), "vfio-pci");
            assertThat(DriverBinding.unbind(device(kernel)).driver()).hasValue("nvme");
            assertThat(DriverBinding.of(device(kernel)).override()).isEmpty();
        }
    }

    @Test
    void givingTwiceIsNoMove() {
        try (MockKernel kernel = host(d -> d).start()) {
            DriverBinding first = DriverBinding.bind(device(kernel), "vfio-pci");
            DriverBinding second = DriverBinding.bind(device(kernel), "vfio-pci");
            assertThat(second.driver()).hasValue("vfio-pci");
            second.restore();
            assertThat(device(kernel).driver()).hasValue("vfio-pci");
            first.restore();
            assertThat(device(kernel).driver()).hasValue("nvme");
        }
    }

    /** The three writes: driver_override, unbind, bind. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void aStepThatFailsUndoesThoseBeforeIt(int step) {
        try (MockKernel kernel = host(d -> d).start()) {
            PciDevice device = device(kernel);
            DriverBinding before = DriverBinding.of(device);
            kernel.failCall("write", step, Errno.ENODEV);
            assertThatThrownBy(() -> DriverBinding.bind(device, "vfio-pci"))
                    .isInstanceOfSatisfying(KernelException.class, refused -> {
                        assertThat(refused.errno()).isEqualTo(Errno.ENODEV);
                        assertThat(refused.getSuppressed()).isEmpty();
                    }).hasMessageContaining("write on /sys/bus/pci/");
            assertThat(DriverBinding.of(device)).isEqualTo(before);
            DriverBinding.bind(device, "vfio-pci");
            kernel.failCall("write", step, Errno.ENODEV);
            assertThatThrownBy(before::restore).isInstanceOf(KernelException.class);
            assertThat(device.driver()).hasValue("vfio-pci");
            assertThat(DriverBinding.of(device).override()).hasValue("vfio-pci");
        }
    }

    @Test
    void withoutRightsNothingIsChanged() {
        try (MockKernel kernel = host(d -> d)
                .permission("/sys/bus/pci/drivers/nvme/unbind", Errno.EACCES).start()) {
            assertThatThrownBy(() -> DriverBinding.bind(device(kernel), "vfio-pci")).hasMessageContaining("EACCES")
                    .hasMessageContaining("as root");
            assertThat(DriverBinding.of(device(kernel)).override()).isEmpty();
            assertThat(device(kernel).driver()).hasValue("nvme");
        }
    }

    @Test
    void hostsThatCannotGive() {
        try (MockKernel kernel = host(d -> d).withoutIommu().start()) {
            assertThatThrownBy(() -> DriverBinding.bind(device(kernel), "vfio-pci")).isInstanceOf(HostException.class)
                    .hasMessageContaining("no IOMMU");
        }
        try (MockKernel kernel = host(d -> d).withoutNode("/sys/bus/pci/drivers/vfio-pci").start()) {
            assertThatThrownBy(() -> DriverBinding.bind(device(kernel), "vfio-pci")).isInstanceOf(HostException.class)
                    .hasMessageContaining("modprobe vfio-pci");
        }
    }

    @Test
    void aBridgeStaysWhereItIs() {
        try (MockKernel kernel = host(d -> d.classCode(0x060400)).start()) {
            assertThatThrownBy(() -> DriverBinding.bindByForce(device(kernel), "vfio-pci"))
                    .isInstanceOf(HostException.class).hasMessageContaining(ADDRESS + " is a bridge");
            assertThat(device(kernel).driver()).hasValue("nvme");
        }
    }

    @Test
    void aDeviceInUseIsGivenByForceOnly() {
        MockHost host = host(d -> d.disk("nvme0n1")).file("/proc/self/mountinfo",
                MOUNT.formatted("259:0", "/home", "/dev/nvme0n1"));
        try (MockKernel kernel = host.start()) {
            PciDevice device = device(kernel);
            assertThatThrownBy(() -> DriverBinding.bind(device, "vfio-pci")).isInstanceOf(HostException.class)
                    .hasMessageContaining(ADDRESS + " is in use: nvme0n1 is mounted at /home");
            assertThat(device.driver()).hasValue("nvme");
            DriverBinding.bindByForce(device, "vfio-pci");
            assertThat(device.driver()).hasValue("vfio-pci");
        }
    }

    @Test
    void disks() {
        assertThat(uses(host(d -> d.disk("nvme0n1")))).isEmpty();
        assertThat(uses(host(d -> d.disk("sda").disk("sdb")).file("/proc/self/mountinfo",
                MOUNT.formatted("8:9", "/", "/dev/sdz") + MOUNT.formatted("0:31", "/data", "/dev/sdb"))))
                .containsExactly("sdb is mounted at /data");
        assertThat(uses(host(d -> d.disk("sda").disk("sdb")).file("/proc/swaps",
                "Filename Type Size Used Priority\n/dev/sdb partition 100 0 -2\n/swapfile file 100 0 -2\n")))
                .containsExactly("sdb is swap");
    }

    @Test
    void aVolumeOnADisk() {
        String dm = "/sys/class/block/dm-0";
        assertThat(uses(host(d -> d.disk("sda"))
                .file("/sys/devices/pci0000:6c/" + ADDRESS + "/block/sda/holders/dm-0", "")
                .file(dm + "/dev", "254:3")
                .file("/proc/self/mountinfo", MOUNT.formatted("254:3", "/", "/dev/mapper/root"))))
                .containsExactly("dm-0 is mounted at /");
    }

    @Test
    void networkLinks() {
        String route = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU\n%s 00000000 0102A8C0 0003 0 0 0 00000000 0\n";
        MockHost two = host(d -> d.networkLink("eth0")).device("0000:01:00.0",
                d -> d.driver("e1000e").networkLink("eth1"));
        assertThat(uses(two)).isEmpty();
        assertThat(uses(two.file("/proc/net/route", route.formatted("eth1")))).isEmpty();
        assertThat(uses(two.file("/proc/net/route", route.formatted("eth0"))))
                .containsExactly("eth0 has the default route");
        assertThat(uses(host(d -> d.networkLink("eth0")))).containsExactly("eth0 is the only network link that is up");
        assertThat(uses(
                host(d -> d.networkLink("eth0")).file("/sys/devices/pci0000:6c/" + ADDRESS + "/net/eth0/upper_br0", "")
                        .file("/proc/net/route", route.formatted("br0"))))
                .containsExactly("eth0 has the default route through br0");
    }

    @ParameterizedTest
    @CsvSource({"0x030000,1,true", "0x030000,0,false", "0x010802,1,false"})
    void theScreen(String classCode, String bootVga, boolean inUse) {
        assertThat(uses(host(d -> d.classCode(Integer.decode(classCode)))
                .file("/sys/devices/pci0000:6c/" + ADDRESS + "/boot_vga", bootVga)))
                .isEqualTo(inUse ? List.of("the display shows its picture") : List.of());
    }
}
