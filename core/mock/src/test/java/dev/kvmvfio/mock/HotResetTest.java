package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_pci_dependent_device;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset_info;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.model.KernelProfile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Devices behind a bridge, which are reset together by whoever owns all of them. */
class HotResetTest {
    private static final int NOT_OWNED = vfio_h.VFIO_PCI_DEVID_NOT_OWNED();

    private MockKernel kernel;
    private Calls calls;

    @BeforeEach
    void start() {
        kernel = MockKernel.host(KernelProfile.V6_12)
                .device("0000:02:01.0", d -> d.behindBridge().group(1).cdev("vfio0"))
                .device("0000:02:02.0", d -> d.behindBridge().group(2).cdev("vfio1")).start();
        calls = new Calls(kernel);
    }

    @AfterEach
    void close() {
        kernel.close();
    }

    private MemorySegment info(int device) {
        MemorySegment info = calls.bytes(28);
        vfio_pci_hot_reset_info.argsz(info, 28);
        assertThat(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO(), info)).isZero();
        assertThat(vfio_pci_hot_reset_info.count(info)).isEqualTo(2);
        return info;
    }

    private static MemorySegment entry(MemorySegment info, int index) {
        return vfio_pci_dependent_device.asSlice(info.asSlice(vfio_pci_hot_reset_info.devices$offset()), index);
    }

    private Errno reset(int device, int... groups) {
        MemorySegment reset = calls.bytes(12 + 4L * groups.length);
        vfio_pci_hot_reset.argsz(reset, (int) reset.byteSize());
        vfio_pci_hot_reset.count(reset, groups.length);
        for (int i = 0; i < groups.length; i++) {
            reset.set(ValueLayout.JAVA_INT, 12 + 4L * i, groups[i]);
        }
        return errno(kernel.ioctl(device, vfio_h.VFIO_DEVICE_PCI_HOT_RESET(), reset));
    }

    @Test
    void byGroups() {
        int[] first = calls.openGroup(1, vfio_h.VFIO_TYPE1v2_IOMMU());
        int[] second = calls.openGroup(2, vfio_h.VFIO_TYPE1v2_IOMMU());
        int device = calls.deviceFd(first[0], "0000:02:01.0");
        MemorySegment shorter = calls.bytes(20);
        vfio_pci_hot_reset_info.argsz(shorter, 20);
        assertThat(errno(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO(), shorter)))
                .isEqualTo(Errno.ENOSPC);
        assertThat(vfio_pci_hot_reset_info.count(shorter)).isEqualTo(2);
        MemorySegment info = info(device);
        assertThat(vfio_pci_hot_reset_info.flags(info)).isZero();
        assertThat(vfio_pci_dependent_device.group_id(entry(info, 1))).isEqualTo(2);
        assertThat(vfio_pci_dependent_device.devfn(entry(info, 1))).isEqualTo((byte) 0x10);
        assertThat(reset(device)).as("no groups").isEqualTo(Errno.EINVAL);
        assertThat(reset(device, first[0])).as("not all of them").isEqualTo(Errno.EINVAL);
        assertThat(reset(device, first[0], 1000)).isEqualTo(Errno.EBADF);
        assertThat(reset(device, first[0], first[1])).as("no group").isEqualTo(Errno.EINVAL);
        assertThat(reset(device, 0, 0, 0)).as("more than there are").isEqualTo(Errno.EINVAL);
        assertThat(reset(device, first[0], second[0])).isNull();
        calls.close(device);
        calls.close(first);
        calls.close(second);
    }

    @Test
    void byCdevs() {
        int[] first = calls.attachCdev("vfio0");
        MemorySegment info = info(first[0]);
        int ofDevices = vfio_h.VFIO_PCI_HOT_RESET_FLAG_DEV_ID();
        assertThat(vfio_pci_hot_reset_info.flags(info)).isEqualTo(ofDevices);
        assertThat(vfio_pci_dependent_device.devid(entry(info, 0))).isEqualTo(1);
        assertThat(vfio_pci_dependent_device.devid(entry(info, 1))).isEqualTo(NOT_OWNED);
        assertThat(reset(first[0])).as("not all of them").isEqualTo(Errno.EINVAL);
        assertThat(reset(first[0], first[0])).as("groups").isEqualTo(Errno.EINVAL);
        int second = calls.open("/dev/vfio/devices/vfio1");
        int id = calls.bind(second, first[1]);
        info = info(first[0]);
        assertThat(vfio_pci_hot_reset_info.flags(info))
                .isEqualTo(ofDevices | vfio_h.VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED());
        assertThat(vfio_pci_dependent_device.devid(entry(info, 1))).isEqualTo(id);
        assertThat(reset(first[0])).isNull();
        calls.close(second, first[0], first[1]);
    }

    @Test
    void aBusIsBehindABridgeOrNot() {
        assertThatThrownBy(() -> MockKernel.host(KernelProfile.V6_12).device("0000:02:01.0", MockDevice::behindBridge)
                .device("0000:02:02.0", d -> d.group(2)).start()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("bus 0000:02");
    }
}
