package dev.kvmvfio.mock.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.HugePages;
import dev.kvmvfio.mock.MockHost;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.Finding;
import dev.kvmvfio.passthrough.Finding.Level;
import dev.kvmvfio.passthrough.HostCheck;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Each finding, on a host that lacks just that. */
class HostCheckTest {
    private static final long MEMORY = 64 << 20;
    private static final String DEVICE = "0000:6a:01.0";

    private static MockHost host() {
        return MockKernel.host(KernelProfile.V6_12).device(DEVICE, d -> d.group(26).cdev("vfio0"))
                .hugePages(HugePages.SIZE_2M, 32);
    }

    private static MockHost withoutKvm() {
        return host().withoutNode("/dev/kvm").withoutNode("/sys/module/kvm");
    }

    private static List<Finding> run(MockHost host) {
        try (MockKernel kernel = host.start()) {
            return HostCheck.run(kernel, MEMORY);
        }
    }

    /** All else is well. */
    private static Finding only(MockHost host) {
        List<Finding> bad = run(host).stream().filter(finding -> finding.level() != Level.OK).toList();
        assertThat(bad).hasSize(1);
        return bad.getFirst();
    }

    private static Finding finding(String id, MockHost host) {
        return run(host).stream().filter(finding -> finding.id().equals(id)).findFirst().orElseThrow();
    }

    @Test
    void aHostThatLacksNothing() {
        assertThat(run(host())).extracting(Finding::id, Finding::level, Finding::remedy).containsExactly(
                tuple("cpu", Level.OK, ""), tuple("kvm", Level.OK, ""), tuple("kernel-options", Level.OK, ""),
                tuple("iommu", Level.OK, ""), tuple("interrupt-remapping", Level.OK, ""),
                tuple("modules", Level.OK, ""), tuple("container", Level.OK, ""), tuple("iommufd", Level.OK, ""),
                tuple("devices", Level.OK, ""), tuple("memlock", Level.OK, ""), tuple("huge-pages", Level.OK, ""));
    }

    @Test
    void nothingIsChangedAndOnlyKvmIsOpened() {
        try (MockKernel kernel = host().start()) {
            HostCheck.run(kernel, MEMORY);
            assertThat(kernel.trace()).extracting(call -> call.toString())
                    .noneMatch(
                            call -> call.startsWith("write") || call.startsWith("open") && call.contains("/dev/vfio"));
        }
    }

    @Test
    void theProcessor() {
        String amd = "vendor_id : AuthenticAMD\nflags : fpu svm lm\n";
        String none = "vendor_id : AuthenticAMD\nflags : fpu lm\n";
        assertThat(finding("cpu", host().file("/proc/cpuinfo", amd)).reason()).contains("AMD-V");
        assertThat(finding("cpu", host().file("/proc/cpuinfo", none)).level()).isEqualTo(Level.OK);
        assertThat(finding("cpu", host().file("/proc/cpuinfo", none).withoutNode("/dev/kvm")))
                .hasToString("FAILS cpu: the processor shows no VT-x or AMD-V. Switch virtualisation on in the "
                        + "firmware; a virtual machine needs it from its host (nested)");
        assertThat(finding("cpu", host().file("/proc/cpuinfo", "processor : 0\nFeatures : fp asimd\n")).level())
                .isEqualTo(Level.OK);
    }

    @ParameterizedTest
    @CsvSource({"ENOENT,modprobe kvm_intel", "EACCES,usermod -aG kvm", "EPERM,--device /dev/kvm", "EIO,modprobe"})
    void kvm(Errno errno, String remedy) {
        MockHost host = errno == Errno.ENOENT
                ? withoutKvm()
                : host().asUser().memlock(MEMORY).permission("/dev/kvm", errno).owner("/dev/kvm", 0, 36, 0660)
                        .file("/etc/group", "root:x:0:\nkvm:x:36:\n").withoutNode("/sys/module/kvm");
        assertThat(only(host)).satisfies(finding -> {
            assertThat(finding.id()).isEqualTo("kvm");
            assertThat(finding.level()).isEqualTo(Level.FAILS);
            assertThat(finding.remedy()).contains(remedy);
        });
    }

    @ParameterizedTest
    @CsvSource({"/dev/kvm,kvm", "/dev/vfio/vfio,vfio", "/dev/iommu,iommu"})
    void aNodeThatAContainerLacks(String path, String device) {
        assertThat(only(host().withoutNode(path).file("/sys/class/misc/" + device + "/uevent", "")).remedy())
                .isEqualTo("Start the container with --device " + path);
    }

    @Test
    void kernelOptions() {
        assertThat(only(host().file("/proc/cmdline", "quiet intremap=off").file("/usr/sbin/update-grub", "")
                .file("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"quiet intremap=off\"")))
                .isEqualTo(new Finding("kernel-options", Level.FAILS, "the kernel's command line has intremap=off",
                        "sudo sed -i 's/ *\\<intremap=off\\>//' /etc/default/grub && sudo update-grub && sudo reboot"));
        assertThat(only(host().file("/proc/cmdline", "iommu=off").file("/usr/sbin/grubby", "")).remedy())
                .isEqualTo("sudo grubby --update-kernel=ALL --remove-args=\"iommu=off\" && sudo reboot");
        assertThat(only(host().file("/proc/cmdline", "pcie_acs_override=downstream")).level())
                .isEqualTo(Level.WARNING);
        assertThat(only(host().file("/boot/config-6.12.0", "CONFIG_KVM=m\nCONFIG_IOMMU_API=y\nCONFIG_VFIO=m\n")))
                .hasToString("FAILS kernel-options: this kernel was built without CONFIG_VFIO_PCI. Boot a kernel that "
                        + "has them, such as the distribution's own");
    }

    @Test
    void iommu() {
        MockHost none = MockKernel.host(KernelProfile.V6_12).withoutIommu().device(DEVICE, d -> {
        });
        assertThat(finding("iommu", none)).satisfies(finding -> {
            assertThat(finding.level()).isEqualTo(Level.FAILS);
            assertThat(finding.remedy()).contains("firmware");
        });
        assertThat(finding("iommu", none.file("/sys/firmware/acpi/tables/DMAR", "").file("/etc/default/grub",
                "GRUB_CMDLINE_LINUX=\"\"").file("/usr/sbin/update-grub", "")).remedy())
                .isEqualTo("sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on /' /etc/default/grub && "
                        + "sudo update-grub && sudo reboot");
        assertThat(finding("iommu", none.file("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y")).reason())
                .contains("unsafe");
    }

    @Test
    void interruptRemapping() {
        assertThat(finding("interrupt-remapping", host().withoutInterruptRemapping()).level()).isEqualTo(Level.FAILS);
        assertThat(finding("devices", host().withoutInterruptRemapping()).level()).isEqualTo(Level.FAILS);
        assertThat(only(host().withoutInterruptRemapping().allowUnsafeInterrupts())).satisfies(finding -> {
            assertThat(finding.id()).isEqualTo("interrupt-remapping");
            assertThat(finding.level()).isEqualTo(Level.WARNING);
        });
    }

    @Test
    void modules() {
        assertThat(only(host().withoutNode("/sys/bus/pci/drivers/vfio-pci")).remedy())
                .isEqualTo("sudo modprobe vfio-pci");
    }

    @Test
    void nodes() {
        assertThat(only(host().withoutNode("/dev/iommu"))).isEqualTo(new Finding("iommufd", Level.WARNING,
                "there is no /dev/iommu, which the cdev interface needs", "sudo modprobe iommufd"));
        assertThat(only(host().withoutNode("/dev/iommu").file("/boot/config-6.12.0",
                "CONFIG_KVM=m\nCONFIG_IOMMU_API=y\nCONFIG_VFIO=m\nCONFIG_VFIO_PCI=m\n")).remedy())
                .isEqualTo("Boot a kernel with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV (Linux 6.6 or later)");
        assertThat(only(host().asUser().memlock(MEMORY).owner("/dev/vfio/vfio", 0, 0, 0600)).remedy())
                .isEqualTo("sudo chown \"$USER\" /dev/vfio/vfio");
        MockHost none = host().withoutNode("/dev/iommu").withoutNode("/dev/vfio/vfio");
        assertThat(finding("container", none).level()).isEqualTo(Level.FAILS);
        assertThat(finding("iommufd", none).level()).isEqualTo(Level.FAILS);
        assertThat(only(host().permission("/dev/vfio/vfio", Errno.EPERM)).remedy()).contains("--device /dev/vfio/vfio");
    }

    @Test
    void devicesAndGroups() {
        MockHost blocked = host().device("0000:6c:00.0", d -> d.group(28))
                .device("0000:6c:00.1", d -> d.group(28).driver("nvme"));
        assertThat(finding("devices", blocked).reason()).isEqualTo("1 of 3 PCI devices can be attached");
        assertThat(only(blocked)).isEqualTo(new Finding("device", Level.WARNING,
                "0000:6c:00.0 cannot be attached: its group has 0000:6c:00.1 (nvme)", "kvm-vfio bind 0000:6c:00.1"));
        MockHost unbound = MockKernel.host(KernelProfile.V6_12).hugePages(HugePages.SIZE_2M, 32).device(DEVICE,
                d -> d.driver("nvme"));
        assertThat(only(unbound)).isEqualTo(new Finding("devices", Level.FAILS, "no PCI device is bound to vfio-pci",
                "kvm-vfio list, then sudo kvm-vfio bind ADDRESS"));
    }

    @Test
    void memlock() {
        assertThat(only(host().memlock(8 << 20))).isEqualTo(new Finding("memlock", Level.FAILS,
                "RLIMIT_MEMLOCK is 8 MiB, and 64 MiB of guest memory would be pinned for a device",
                "sudo prlimit --pid $$ --memlock=67108864:67108864  # a container: --ulimit memlock=67108864"));
        assertThat(finding("memlock", host().memlock(MEMORY)).level()).isEqualTo(Level.OK);
        assertThat(finding("memlock", host().memlock(Long.MAX_VALUE)).reason()).contains("no limit");
    }

    @Test
    void hugePages() {
        assertThat(only(host().hugePages(HugePages.SIZE_2M, 31)).reason()).startsWith("only 31 of 2 MiB are free");
        assertThat(only(host().hugePages(HugePages.SIZE_2M, 0)).remedy())
                .isEqualTo("echo 32 | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
        assertThat(finding("huge-pages", host().hugePages(HugePages.SIZE_2M, 0).hugePages(HugePages.SIZE_1G, 1))
                .level()).isEqualTo(Level.OK);
    }
}
