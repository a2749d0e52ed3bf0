package dev.kvmvfio.it.odd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.VfioCdev;
import dev.kvmvfio.vfio.VfioGroup;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A device that another process has open is known as such, and the process is named. */
@Tag("mock")
class HeldDeviceTest {
    private static final PciAddress ADDRESS = PciAddress.parse("0000:6a:01.0");

    private final MockKernel mock = MockKernel.example();

    @AfterEach
    void nothingIsLeft() {
        mock.close();
    }

    /** With a process of the number 77 that has a file open. */
    private Kernel held(String path) {
        return OddKernel.of(mock, call -> {
            if (call.is("list") && (call.isOn("/proc") || call.isOn("/proc/77/fd"))) {
                call.<List<String>>argument(1).add(call.isOn("/proc") ? "77" : "5");
                return 0;
            }
            if (call.is("readlink") && call.isOn("/proc/77/fd/5")) {
                call.<StringBuilder>argument(1).append(path);
                return 0;
            }
            if (call.is("readFile") && call.isOn("/proc/77/comm")) {
                return -Errno.ENOENT.number();
            }
            return call.real();
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"/dev/vfio/devices/vfio0", "/dev/vfio/26"})
    void theListTellsIt(String path) {
        assertThat(Candidate.of(PciDevice.find(held(path), ADDRESS)).obstacle()).get().asString()
                .startsWith("process 77 (").endsWith("has it open");
        assertThat(Candidate.of(PciDevice.find(held("/dev/null"), ADDRESS)).isAttachable()).isTrue();
    }

    @Test
    void whatThisProcessHasItCanShare() {
        Kernel kernel = OddKernel.of(held("/dev/vfio/26"), call -> {
            if (call.is("readlink") && call.isOn("/proc/self")) {
                call.<StringBuilder>argument(1).append("77");
                return 0;
            }
            return call.real();
        });
        assertThat(Candidate.of(PciDevice.find(kernel, ADDRESS)).isAttachable()).isTrue();
    }

    @Test
    void theRefusalOfTheKernelNamesIt() {
        PciDevice device = PciDevice.find(held("/dev/vfio/devices/vfio0"), ADDRESS);
        try (Iommufd iommufd = Iommufd.open(device.kernel());
                VfioCdev first = VfioCdev.open(device);
                VfioCdev second = VfioCdev.open(device)) {
            first.bindWithoutKvm(iommufd);
            assertThatThrownBy(() -> second.bindWithoutKvm(iommufd)).hasMessageContaining("process 77 (");
        }
        PciDevice ofGroup = PciDevice.find(held("/dev/vfio/26"), ADDRESS);
        try (VfioGroup _ = VfioGroup.open(ofGroup.iommuGroup().orElseThrow())) {
            assertThatThrownBy(() -> VfioGroup.open(ofGroup.iommuGroup().orElseThrow()))
                    .hasMessageContaining("EBUSY").hasMessageContaining("process 77 (");
        }
    }
}
