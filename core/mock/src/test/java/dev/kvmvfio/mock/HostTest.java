package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.system.statx;
import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Hosts: what can be described, what is refused, and how it shows in /sys and /dev. */
class HostTest {
    private static final String DEVICE = "0000:6a:01.0";
    private static final String SYSFS = "/sys/bus/pci/devices/";

    private static void refused(String words, Consumer<MockDevice> description) {
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12).device(DEVICE, description))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining(words);
    }

    @Test
    void aNodesOwnerKeepsOthersOut() {
        try (Arena arena = Arena.ofConfined();
                MockKernel root = MockKernel.host(KernelProfile.V6_12).owner("/dev/kvm", 0, 104, 0660).start();
                MockKernel user = MockKernel.host(KernelProfile.V6_12).asUser().owner("/dev/kvm", 0, 104, 0660).start();
                MockKernel member = MockKernel.host(KernelProfile.V6_12).asUser().owner("/dev/kvm", 0, 1000, 0660)
                        .start()) {
            assertThat(root.access("/dev/kvm")).isZero();
            assertThat(member.access("/dev/kvm")).isZero();
            assertThat(user.access("/dev/kvm")).isEqualTo(-Errno.EACCES.number());
            assertThat(user.open("/dev/kvm", 2)).isEqualTo(-Errno.EACCES.number());
            MemorySegment status = statx.allocate(arena);
            assertThat(user.stat("/dev/kvm", status)).isZero();
            assertThat(List.of(statx.stx_uid(status), statx.stx_gid(status), (int) statx.stx_mode(status)))
                    .containsExactly(0, 104, 020660);
        }
    }

    @Test
    void devicesThatCannotBe() {
        refused("a BAR has a power of two", d -> d.bar(0, 3000));
        refused("at least 16", d -> d.bar(0, 8));
        refused("a device has 0 to 5", d -> d.bar(6, 4096));
        refused("no BAR 6", d -> d.bar64(5, 4096));
        refused("described twice", d -> d.bar64(0, 4096).bar(1, 4096));
        refused("needs 64 bits", d -> d.bar(0, 1L << 32));
        refused("PCI allows 256", d -> d.ioBar(0, 512));
        refused("negative", d -> d.group(-1));
        refused("no name that the kernel gives", d -> d.cdev("device0"));
        refused("a power of two, up to 32", d -> d.msi(3));
        refused("needs a memory BAR", d -> d.msix(4));
        refused("1 to 2048", d -> d.bar(0, 1 << 20).msix(4096));
        refused("does not fit", d -> d.bar(0, 4096).msix(64, 0, 4088));
        refused("no memory BAR 1", d -> d.bar(0, 4096).msix(1, 1, 0));
        refused("16 bits", d -> d.id(0x18086, 1));
        refused("24 bits", d -> d.classCode(0x1000000));
        refused("no driver's name", d -> d.driver(" "));
    }

    @Test
    void hostsThatCannotBe() {
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_1).device(DEVICE, d -> d.cdev("vfio0")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("6.1.0 has no /dev/vfio/devices");
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12).device("6a:01.0", d -> {
        })).hasMessageContaining("no PCI address");
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12).device(DEVICE, d -> {
        }).device(DEVICE, d -> {
        })).hasMessageContaining("two devices at " + DEVICE);
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12).device(DEVICE, d -> d.cdev("vfio0"))
                .device("0000:6a:02.0", d -> d.cdev("vfio0")).start()).hasMessageContaining("two devices named vfio0");
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12).withoutIommu()
                .device(DEVICE, d -> d.driver("vfio-pci")).start()).hasMessageContaining("without an IOMMU");
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12)
                .device(DEVICE, d -> d.driver("nvme").cdev("vfio0")).start())
                .hasMessageContaining("that driver has it not");
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12).addressBits(16)).hasMessageContaining("32 to 57");
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12).reserved(5, 5)).hasMessageContaining("no range");
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12).reserved(0xfee0_0000L, 0xfee0_ffffL))
                .hasMessageContaining("reserved twice");
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12).withoutNode("/dev/nonsense").start())
                .hasMessageContaining("the host has no /dev/nonsense");
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_1).permission("/dev/iommu", Errno.EACCES).start())
                .hasMessageContaining("the host has no /dev/iommu");
    }

    @Test
    void whatSysfsSaysOfADevice() {
        try (MockKernel kernel = MockKernel.example()) {
            Calls calls = new Calls(kernel);
            assertThat(calls.text(SYSFS + DEVICE + "/vendor")).isEqualTo("0x8086\n");
            assertThat(calls.text(SYSFS + DEVICE + "/device")).isEqualTo("0x10d3\n");
            assertThat(calls.text(SYSFS + DEVICE + "/class")).isEqualTo("0x020000\n");
            assertThat(calls.text(SYSFS + DEVICE + "/revision")).isEqualTo("0x00\n");
            assertThat(calls.text(SYSFS + DEVICE + "/reset_method")).isEqualTo("flr\n");
            assertThat(calls.text(SYSFS + DEVICE + "/resource").lines()).hasSize(13);
            assertThat(calls.text(SYSFS + DEVICE + "/iommu_group/reserved_regions"))
                    .isEqualTo("0x00000000fee00000 0x00000000feefffff msi\n");
            assertThat(calls.text(SYSFS + "0000:ff:00.0/vendor")).isEqualTo("ENOENT");
            assertThat(calls.text(SYSFS + DEVICE + "/../" + DEVICE + "/vendor")).isEqualTo("0x8086\n");
            assertThat(link(kernel, SYSFS + DEVICE + "/driver")).endsWith("/drivers/vfio-pci");
            assertThat(link(kernel, SYSFS + DEVICE + "/iommu_group")).endsWith("/iommu_groups/26");
            assertThat(link(kernel, SYSFS + "0000:6d:00.0/driver")).isEqualTo("ENOENT");
            assertThat(names(kernel, SYSFS + DEVICE + "/vfio-dev")).containsExactly("vfio0");
            assertThat(names(kernel, "/sys/kernel/iommu_groups/27/devices")).containsExactly("0000:6b:00.0",
                    "0000:6b:00.1");
            assertThat(names(kernel, "/sys/bus/pci/devices")).hasSize(6);
            assertThat(names(kernel, "/dev/vfio")).containsExactlyInAnyOrder("vfio", "26", "27", "28", "devices");
            String number = calls.text(SYSFS + DEVICE + "/vfio-dev/vfio0/dev");
            long node = kernel.deviceNumber("/dev/vfio/devices/vfio0");
            assertThat(number).isEqualTo((node >>> 32) + ":" + (int) node + "\n");
            int config = kernel.open(SYSFS + DEVICE + "/config", system_h.O_RDONLY());
            assertThat(kernel.pread(config, calls.bytes(64), 0)).isEqualTo(64);
            kernel.close(config);
        }
    }

    private static String link(MockKernel kernel, String path) {
        StringBuilder target = new StringBuilder();
        int result = kernel.readlink(path, target);
        return result < 0 ? errno(result).name() : target.toString();
    }

    private static List<String> names(MockKernel kernel, String path) {
        List<String> names = new ArrayList<>();
        assertThat(kernel.list(path, names)).isZero();
        return names;
    }

    @Test
    void anOlderKernelHasTheNameWithoutTheNode() {
        try (MockKernel kernel = MockKernel.host(KernelProfile.V6_1).device(DEVICE, d -> d.group(26)).start()) {
            assertThat(names(kernel, SYSFS + DEVICE + "/vfio-dev")).containsExactly("vfio0");
            assertThat(new Calls(kernel).text(SYSFS + DEVICE + "/vfio-dev/vfio0/dev")).isEqualTo("ENOENT");
            assertThat(names(kernel, "/dev/vfio")).containsExactlyInAnyOrder("vfio", "26");
            assertThat(errno(kernel.deviceNumber("/dev/iommu"))).isEqualTo(Errno.ENOENT);
        }
    }

    @Test
    void aHostWithoutIommu() {
        try (MockKernel kernel = MockKernel.host(KernelProfile.V6_12).withoutIommu().device(DEVICE, d -> {
        }).start()) {
            assertThat(link(kernel, SYSFS + DEVICE + "/iommu_group")).isEqualTo("ENOENT");
            assertThat(link(kernel, SYSFS + DEVICE + "/driver")).isEqualTo("ENOENT");
            assertThat(names(kernel, "/sys/kernel/iommu_groups")).isEmpty();
            assertThat(names(kernel, "/sys/class/iommu")).isEmpty();
        }
    }

    @Test
    void permissionsAndMissingNodes() {
        try (MockKernel kernel = MockKernel.host(KernelProfile.V6_12).device(DEVICE, d -> d.group(26).cdev("vfio0"))
                .permission("/dev/kvm", Errno.EACCES).permission("/dev/vfio/26", Errno.EPERM)
                .withoutNode("/dev/iommu").start()) {
            Calls calls = new Calls(kernel);
            assertThat(errno(calls.open("/dev/kvm"))).isEqualTo(Errno.EACCES);
            assertThat(errno(calls.open("/dev/vfio/26"))).isEqualTo(Errno.EPERM);
            assertThat(errno(calls.open("/dev/iommu"))).isEqualTo(Errno.ENOENT);
            assertThat(names(kernel, "/dev")).containsExactlyInAnyOrder("kvm", "vfio");
        }
    }

    @Test
    void rights() {
        try (MockKernel root = MockKernel.host(KernelProfile.V6_12).start();
                MockKernel user = MockKernel.host(KernelProfile.V6_12).asUser().memlock(1 << 16).start()) {
            assertThat(new Calls(root).text("/proc/self/status")).contains("CapEff:\t000001ffffffffff");
            assertThat(new Calls(user).text("/proc/self/status")).contains("CapEff:\t000001fffefdbfff");
            assertThat(user.rlimit(system_h.RLIMIT_MEMLOCK())).isEqualTo(1 << 16);
        }
    }

    private static Errno write(MockKernel kernel, String path, String text) {
        Calls calls = new Calls(kernel);
        int fd = kernel.open(path, system_h.O_WRONLY());
        if (fd < 0) {
            return errno(fd);
        }
        byte[] bytes = (text + "\n").getBytes(StandardCharsets.US_ASCII);
        MemorySegment buffer = calls.bytes(bytes.length).copyFrom(MemorySegment.ofArray(bytes));
        long result = kernel.write(fd, buffer);
        kernel.close(fd);
        return errno(result);
    }

    @Test
    void aDeviceChangesItsDriver() {
        try (MockKernel kernel = MockKernel.example()) {
            Calls calls = new Calls(kernel);
            String nvme = "0000:6c:00.1";
            assertThat(write(kernel, SYSFS + nvme + "/vendor", "1")).isEqualTo(Errno.EACCES);
            assertThat(write(kernel, SYSFS + nvme + "/driver/unbind", "0000:6d:00.0")).isEqualTo(Errno.ENODEV);
            assertThat(write(kernel, SYSFS + nvme + "/driver/unbind", nvme)).isNull();
            int group = calls.open("/dev/vfio/28");
            assertThat(calls.status(group)).as("now it is viable").isEqualTo(vfio_h.VFIO_GROUP_FLAGS_VIABLE());
            kernel.close(group);
            assertThat(write(kernel, "/sys/bus/pci/drivers/vfio-pci/bind", nvme)).as("not asked for")
                    .isEqualTo(Errno.ENODEV);
            assertThat(write(kernel, SYSFS + nvme + "/driver_override", "vfio-pci")).isNull();
            assertThat(calls.text(SYSFS + nvme + "/driver_override")).isEqualTo("vfio-pci\n");
            assertThat(write(kernel, "/sys/bus/pci/drivers_probe", nvme)).isNull();
            assertThat(link(kernel, SYSFS + nvme + "/driver")).endsWith("/vfio-pci");
            assertThat(names(kernel, SYSFS + nvme + "/vfio-dev")).containsExactly("vfio4");
            assertThat(kernel.deviceNumber("/dev/vfio/devices/vfio4")).isPositive();
            assertThat(write(kernel, SYSFS + nvme + "/driver/unbind", nvme)).isNull();
            assertThat(write(kernel, SYSFS + nvme + "/driver_override", "")).isNull();
            assertThat(write(kernel, "/sys/bus/pci/drivers_probe", nvme)).isNull();
            assertThat(link(kernel, SYSFS + nvme + "/driver")).endsWith("/nvme");
        }
    }

    @Test
    void aGroupInUseTakesNoDriverOfTheHost() {
        try (MockKernel kernel = MockKernel.host(KernelProfile.V6_12).device("0000:01:00.0", d -> d.group(1))
                .device("0000:01:00.1", d -> d.group(1).driver("nvme")).start()) {
            Calls calls = new Calls(kernel);
            String nvme = "0000:01:00.1";
            write(kernel, SYSFS + nvme + "/driver/unbind", nvme);
            int[] files = calls.openGroup(1, vfio_h.VFIO_TYPE1v2_IOMMU());
            assertThat(write(kernel, "/sys/bus/pci/drivers/nvme/bind", nvme)).isEqualTo(Errno.EBUSY);
            calls.close(files);
            assertThat(write(kernel, "/sys/bus/pci/drivers/nvme/bind", nvme)).isNull();
        }
    }

    @Test
    void aGroupLosesItsLastDevice() {
        try (MockKernel kernel = MockKernel.example()) {
            Calls calls = new Calls(kernel);
            int[] files = calls.openGroup(26, vfio_h.VFIO_TYPE1v2_IOMMU());
            assertThat(write(kernel, SYSFS + DEVICE + "/driver/unbind", DEVICE)).isNull();
            assertThat(errno(calls.status(files[0]))).isEqualTo(Errno.ENODEV);
            assertThat(errno(calls.setContainer(files[0], files[1]))).isEqualTo(Errno.ENODEV);
            assertThat(errno(calls.deviceFd(files[0], DEVICE))).isEqualTo(Errno.ENODEV);
            assertThat(errno(calls.open("/dev/vfio/26"))).isEqualTo(Errno.ENOENT);
            calls.close(files);
        }
    }

    @Test
    void aDeviceInUseIsNotTakenAway() {
        try (MockKernel kernel = MockKernel.example()) {
            Calls calls = new Calls(kernel);
            int[] files = calls.attachCdev("vfio0");
            assertThatThrownBy(() -> write(kernel, SYSFS + DEVICE + "/driver/unbind", DEVICE))
                    .isInstanceOf(NotModelledException.class).hasMessageContaining("in use");
            int left = kernel.open("/proc/self/status", system_h.O_RDONLY()) - 1;
            calls.close(files[0], files[1], left, left + 1);
        }
    }

    @Test
    void twoHostsDoNotMix() {
        try (MockKernel one = MockKernel.example(); MockKernel two = MockKernel.example()) {
            int first = new Calls(one).open("/dev/vfio/26");
            int second = new Calls(two).open("/dev/vfio/26");
            assertThat(first).isEqualTo(second).isNotNegative();
            one.close(first);
            two.close(second);
        }
    }
}
