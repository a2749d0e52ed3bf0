package dev.kvmvfio.mock.host;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.MockDevice;
import dev.kvmvfio.mock.MockHost;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.passthrough.Obstacle;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

/** What is said of each device, on hosts where it can be attached and where it cannot. */
class CandidateTest {
    private static final String DEVICE = "0000:6a:01.0";
    private static final String PCI_IDS = """
            # a comment
            8085  Somebody Else
            \t10d3  Another Thing
            8086  Intel Corporation
            # between devices
            \t10d2  Something Else
            \t10d3  82574L Gigabit Network Connection
            \t\t8086 a01f  A Board
            8087  Nobody
            \t10d4  Of Nobody
            """;

    private static MockHost host(UnaryOperator<MockDevice> device) {
        return MockKernel.host(KernelProfile.V6_12).device(DEVICE,
                d -> device.apply(d.id(0x8086, 0x10d3).classCode(0x020000).group(26)));
    }

    private static MockHost attachable() {
        return host(d -> d.cdev("vfio0"));
    }

    private static Candidate candidate(MockHost host) {
        try (MockKernel kernel = host.start()) {
            return Candidate.of(PciDevice.find(kernel, PciAddress.parse(DEVICE)));
        }
    }

    private static Obstacle obstacle(MockHost host) {
        return candidate(host).obstacle().orElseThrow();
    }

    @Test
    void aDeviceThatCanBeAttached() {
        Candidate candidate = candidate(attachable());
        assertThat(candidate.isAttachable()).isTrue();
        assertThat(candidate.cdev()).hasValue("/dev/vfio/devices/vfio0");
        assertThat(candidate)
                .hasToString(DEVICE + " 8086:10d3 class 020000, vfio-pci, IOMMU group 26: can be attached");
    }

    @Test
    void names() {
        assertThat(candidate(attachable().file("/usr/share/hwdata/pci.ids", PCI_IDS)).name())
                .hasValue("Intel Corporation 82574L Gigabit Network Connection");
        assertThat(candidate(host(d -> d.id(0x8086, 0x10d4)).file("/usr/share/misc/pci.ids", PCI_IDS)).name())
                .hasValue("Intel Corporation");
        assertThat(candidate(host(d -> d.id(0xa01f, 0x10d3)).file("/usr/share/misc/pci.ids", PCI_IDS)).name())
                .isEmpty();
    }

    @Test
    void anotherDriverOrNone() {
        assertThat(obstacle(host(d -> d.driver("e1000e"))))
                .isEqualTo(new Obstacle("bound to e1000e", "kvm-vfio bind " + DEVICE));
        assertThat(obstacle(host(d -> d.withoutDriver()))).hasToString("not bound to vfio-pci");
        assertThat(obstacle(host(d -> d.classCode(0x060400).driver("pcieport"))))
                .hasToString("a bridge, which vfio-pci does not take");
    }

    @Test
    void noIommu() {
        Candidate candidate = candidate(host(d -> d).withoutIommu());
        assertThat(candidate.iommuGroup()).isEmpty();
        assertThat(candidate.obstacle()).hasValue(new Obstacle("in no IOMMU group", "kvm-vfio doctor"));
    }

    @Test
    void aNeighbourThatTheHostUses() {
        assertThat(obstacle(attachable().device("0000:6a:02.0", d -> d.group(26).driver("nvme"))))
                .isEqualTo(new Obstacle("its group has 0000:6a:02.0 (nvme)", "kvm-vfio bind 0000:6a:02.0"));
        assertThat(candidate(attachable().device("0000:6a:02.0", d -> d.group(26).withoutDriver())).isAttachable())
                .isTrue();
    }

    @Test
    void nodesThatAreMissingOrForbidden() {
        assertThat(obstacle(attachable().permission("/dev/vfio/devices/vfio0", Errno.EACCES)))
                .hasToString("no permission for /dev/vfio/devices/vfio0 (EACCES)");
        assertThat(obstacle(attachable().permission("/dev/iommu", Errno.EACCES)))
                .hasToString("no permission for /dev/iommu (EACCES)");
        assertThat(candidate(attachable().permission("/dev/vfio/26", Errno.EACCES)).isAttachable()).isTrue();
        MockHost byGroup = attachable().withoutNode("/dev/iommu");
        assertThat(candidate(byGroup).isAttachable()).isTrue();
        assertThat(obstacle(byGroup.withoutNode("/dev/vfio/26"))).hasToString("there is no /dev/vfio/26");
    }

    @Test
    void noInterruptRemapping() {
        assertThat(obstacle(attachable().withoutInterruptRemapping())).hasToString("no interrupt remapping");
        assertThat(candidate(attachable().withoutInterruptRemapping().allowUnsafeInterrupts()).isAttachable()).isTrue();
        assertThat(candidate(attachable().withoutInterruptRemapping().file("/proc/interrupts", "16: 5 GICv3"))
                .isAttachable())
                .isTrue();
    }

    @Test
    void allOfTheExample() {
        try (MockKernel kernel = MockKernel.example()) {
            assertThat(Candidate.list(kernel)).extracting(candidate -> candidate.isAttachable()).containsExactly(true,
                    true, true, false, false, false);
        }
    }
}
