package dev.kvmvfio.mock.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.HugePages;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.mock.MockHost;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.Finding;
import dev.kvmvfio.passthrough.Finding.Level;
import dev.kvmvfio.passthrough.HostCheck;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is advised on the hosts that people have: file trees of distributions, containers, services. */
class HostAdviceTest {
    private static final long MEMORY = 64 << 20;
    private static final Path TREES = Path.of("src/test/resources/hosts");
    private static final String DMAR = "/sys/firmware/acpi/tables/DMAR";
    private static final String LOADER = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    private static final String NO_FIRMWARE = "Switch virtualisation on in the firmware; a virtual machine needs it from "
            + "its host (nested)";
    private static final String ARM = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n";

    @TempDir
    private Path folder;

    private static MockHost bare() {
        return MockKernel.host(KernelProfile.V6_12).hugePages(HugePages.SIZE_2M, 32);
    }

    private static MockHost host() {
        return bare().device("0000:6a:01.0", device -> device.group(26).cdev("vfio0"));
    }

    private static MockHost withoutIommu(String... trees) {
        return add(bare().withoutIommu().file(DMAR, ""), trees);
    }

    /** The files of some trees; those of a later one count. */
    private static MockHost add(MockHost host, String... trees) {
        for (String tree : trees) {
            Path root = TREES.resolve(tree);
            try (Stream<Path> files = Files.walk(root)) {
                files.filter(Files::isRegularFile)
                        .forEach(file -> host.file("/" + root.relativize(file), text(file).stripTrailing()));
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
        }
        return host;
    }

    private static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    private static MockHost withoutKvm(MockHost host) {
        return host.withoutNode("/dev/kvm").withoutNode("/sys/module/kvm");
    }

    private static MockHost inContainer(MockHost host) {
        return host.file("/.dockerenv", "");
    }

    private static MockHost inService(MockHost host) {
        return host.file("/proc/self/cgroup", "0::/system.slice/vmm.service");
    }

    private static Finding finding(String id, MockHost host) {
        try (MockKernel kernel = host.start()) {
            return HostCheck.run(kernel, MEMORY, List.of(id)).getFirst();
        }
    }

    private static String remedy(String id, MockHost host) {
        return finding(id, host).remedy();
    }

    /** As an ordinary user, to whom a node is shown as it is. */
    private static MockHost keptFromUser(MockHost host, int group, int permissions) {
        return host.asUser().memlock(MEMORY).owner("/dev/kvm", 0, group, permissions);
    }

    // How the machine booted.

    @Test
    void debianWithGrub() {
        assertThat(remedy("iommu", withoutIommu("debian"))).isEqualTo("sudo sed -i "
                + "'s/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on /' /etc/default/grub && sudo update-grub && sudo reboot");
    }

    @Test
    void ubuntuWhereOptionsAreToGo() {
        assertThat(remedy("kernel-options", withoutIommu("ubuntu"))).isEqualTo(
                "sudo sed -i 's/ *\\<intel_iommu=off\\>//; s/ *\\<iommu=off\\>//' /etc/default/grub && "
                        + "sudo sed -i 's/ *\\<iommu=off\\>//' /etc/default/grub.d/50-cloudimg-settings.cfg && "
                        + "sudo update-grub && sudo reboot");
    }

    @Test
    void fedora() {
        assertThat(remedy("iommu", withoutIommu("fedora")))
                .isEqualTo("sudo grubby --update-kernel=ALL --args=\"intel_iommu=on\" && sudo reboot");
    }

    @Test
    void fedoraSilverblue() {
        assertThat(remedy("iommu", withoutIommu("fedora", "silverblue")))
                .isEqualTo("sudo rpm-ostree kargs --append-if-missing=intel_iommu=on && sudo reboot");
        assertThat(remedy("kernel-options", withoutIommu("fedora", "silverblue").file("/proc/cmdline", "iommu=off")))
                .isEqualTo("sudo rpm-ostree kargs --delete-if-present=iommu=off && sudo reboot");
    }

    @Test
    void systemdBoot() {
        String image = "/boot/vmlinuz-6.1.0-31-amd64";
        MockHost host = withoutIommu("debian").file(LOADER, "s\0y\0s\0t\0e\0m\0d\0-\0b\0o\0o\0t\0 \0002\0");
        assertThat(remedy("iommu", host)).as("nobody knows where its options are").isEqualTo(
                "On the kernel's command line add intel_iommu=on (in the boot loader), and boot again");
        assertThat(remedy("iommu", host.file("/etc/kernel/cmdline", "root=/dev/vda1 quiet").file(image, "")))
                .isEqualTo("sudo sed -i '1s/$/ intel_iommu=on/' /etc/kernel/cmdline && "
                        + "sudo kernel-install add 6.1.0-31-amd64 " + image + " && sudo reboot");
        assertThat(remedy("iommu", host.file("/usr/sbin/proxmox-boot-tool", "")))
                .endsWith("/etc/kernel/cmdline && sudo proxmox-boot-tool refresh && sudo reboot");
        assertThat(remedy("iommu", host.file("/usr/bin/kernelstub", "")))
                .isEqualTo("sudo kernelstub --add-options \"intel_iommu=on\" && sudo reboot");
    }

    @Test
    void grubWithoutUpdateGrub() {
        MockHost host = withoutIommu().file("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"");
        assertThat(remedy("iommu", host)).startsWith("On the kernel's command line add intel_iommu=on");
        assertThat(remedy("iommu", host.file("/usr/bin/grub-mkconfig", "").file("/boot/grub/grub.cfg", "")))
                .endsWith("/etc/default/grub && sudo grub-mkconfig -o /boot/grub/grub.cfg && sudo reboot");
    }

    @Test
    void anOptionThatIsThereAlready() {
        assertThat(remedy("iommu", withoutIommu("debian").file("/proc/cmdline", "quiet intel_iommu=on")))
                .isEqualTo("The kernel's log says why: sudo dmesg | grep -iE 'iommu|dmar|amd-vi'");
        assertThat(remedy("iommu",
                withoutIommu("debian").file("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"intel_iommu=on\"")))
                .as("set, and not yet booted with").isEqualTo("sudo update-grub && sudo reboot");
    }

    @Test
    void anIommuThatTheKernelWasBuiltWithout() {
        assertThat(remedy("iommu", withoutIommu("debian").file("/boot/config-6.1.0-31-amd64", "CONFIG_KVM=m")))
                .isEqualTo("Boot a kernel with CONFIG_INTEL_IOMMU, such as the distribution's own");
    }

    @Test
    void anIommuOfAmd() {
        MockHost host = add(bare().withoutIommu().file("/sys/firmware/acpi/tables/IVRS", ""), "debian");
        assertThat(finding("iommu", host))
                .hasToString("FAILS iommu: the firmware has an IOMMU (AMD-Vi), and the kernel "
                        + "does not use it. The kernel's log says why: sudo dmesg | grep -iE 'iommu|dmar|amd-vi'");
    }

    @Test
    void anOptionOfTheOtherVendor() {
        assertThat(finding("kernel-options", host().file("/proc/cmdline", "quiet amd_iommu=off")).level())
                .isEqualTo(Level.OK);
        assertThat(finding("kernel-options", host().file("/proc/cmdline", "iommu=pt,off")).reason())
                .endsWith("iommu=pt,off");
    }

    /** The commands do what they say, to files of these trees. */
    @ParameterizedTest
    @ValueSource(strings = {"debian", "ubuntu"})
    void theEditsOfGrubsFiles(String tree) throws Exception {
        Path copy = Files.createDirectories(folder.resolve(tree + "/etc/default/grub.d")).getParent();
        for (String name : List.of("grub", "grub.d/50-cloudimg-settings.cfg")) {
            Path file = TREES.resolve(tree).resolve("etc/default").resolve(name);
            if (Files.exists(file)) {
                Files.copy(file, copy.resolve(name));
            }
        }
        String command = remedy("iommu", withoutIommu(tree)).replace("/etc/default", copy.toString());
        Process shell = new ProcessBuilder("sh", "-c",
                "sudo() { case $1 in sed) \"$@\" ;; *) echo \"$@\" ;; esac; }; " + command).redirectErrorStream(true)
                .start();
        assertThat(new String(shell.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                .isEqualTo("update-grub\nreboot\n");
        assertThat(shell.waitFor()).isZero();
        assertThat(Files.readAllLines(copy.resolve("grub"))).filteredOn(line -> line.startsWith("GRUB_CMDLINE"))
                .last().isEqualTo("GRUB_CMDLINE_LINUX=\"intel_iommu=on \"");
        if (tree.equals("ubuntu")) {
            assertThat(copy.resolve("grub.d/50-cloudimg-settings.cfg")).hasContent(
                    "GRUB_CMDLINE_LINUX_DEFAULT=\"console=tty1 nvme_core.io_timeout=4294967295\"");
        }
    }

    // Modules, or the firmware.

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"debian|sudo modprobe vfio-pci",
        "ubuntu|sudo apt install linux-modules-extra-6.8.0-1024-aws",
        "fedora|sudo dnf install kernel-modules-6.12.9-200.fc41.x86_64"})
    void aModuleThatIsReadyOrInAnotherPackage(String tree, String remedy) {
        assertThat(remedy("modules", add(host().withoutNode("/sys/bus/pci/drivers/vfio-pci"), tree)))
                .isEqualTo(remedy);
    }

    @Test
    void theCloudKernelOfDebian() {
        MockHost host = add(host(), "debian").withoutNode("/sys/bus/pci/drivers/vfio-pci")
                .file("/proc/sys/kernel/osrelease", "6.1.0-31-cloud-amd64")
                .file("/lib/modules/6.1.0-31-cloud-amd64/modules.dep", "kernel/fs/fat/fat.ko:");
        assertThat(remedy("modules", host)).startsWith("sudo apt install linux-image-amd64 ");
    }

    @Test
    void modulesThatAnUpdateTookAway() {
        MockHost host = add(host(), "debian").withoutNode("/sys/bus/pci/drivers/vfio-pci")
                .file("/proc/sys/kernel/osrelease", "6.1.0-30-amd64");
        assertThat(remedy("modules", host))
                .isEqualTo("Boot again: an update has replaced the modules of the running kernel");
    }

    private static byte[] gzipped(String text) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(bytes)) {
            gzip.write(text.getBytes(StandardCharsets.UTF_8));
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
        return bytes.toByteArray();
    }

    @Test
    void aKernelThatTellsHowItWasBuilt() {
        MockHost host = bare().withoutNode("/dev/vfio/vfio").withoutNode("/dev/iommu")
                .withoutNode("/sys/bus/pci/drivers/vfio-pci")
                .file("/proc/config.gz", gzipped("CONFIG_KVM=y\nCONFIG_IOMMU_API=y\n# CONFIG_VFIO is not set\n"));
        try (MockKernel kernel = host.start()) {
            assertThat(HostCheck.run(kernel, MEMORY)).extracting(Finding::remedy)
                    .noneMatch(remedy -> remedy.contains("modprobe")).filteredOn(remedy -> remedy.contains("CONFIG_"))
                    .containsExactly(
                            "Boot a kernel with CONFIG_VFIO and CONFIG_VFIO_PCI, such as the distribution's own",
                            "Boot a kernel with CONFIG_VFIO and CONFIG_VFIO_IOMMU_TYPE1, such as the distribution's own",
                            "Boot a kernel with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV (Linux 6.6 or later)");
        }
    }

    @Test
    void anArchiveThatIsNone() {
        assertThat(finding("kernel-options", host().file("/proc/config.gz", "CONFIG_VFIO=n")).level())
                .isEqualTo(Level.OK);
    }

    @ParameterizedTest
    @ValueSource(strings = {"processor : 0\nvendor_id : AuthenticAMD\nflags : fpu svm\n", ARM})
    void kvmThatIsThereAndDidNotStart(String cpu) {
        assertThat(remedy("kvm", host().withoutNode("/dev/kvm").file("/proc/cpuinfo", cpu)))
                .isEqualTo(NO_FIRMWARE + ". The kernel's log says what KVM found: sudo dmesg | grep -i kvm");
    }

    @Test
    void kvmThatIsNotLoaded() {
        assertThat(remedy("kvm", add(withoutKvm(host()), "debian"))).isEqualTo("sudo modprobe kvm_intel");
        assertThat(remedy("kvm", withoutKvm(host()).file("/proc/cpuinfo", ARM))).isEqualTo("sudo modprobe kvm");
        assertThat(remedy("kvm", withoutKvm(host()).file("/proc/cpuinfo", "vendor_id : GenuineIntel\nflags : fpu\n")))
                .isEqualTo(NO_FIRMWARE);
        assertThat(remedy("kvm", withoutKvm(host()).file("/proc/config.gz", gzipped("CONFIG_VFIO=y\n"))))
                .isEqualTo("Boot a kernel with CONFIG_KVM_INTEL, such as the distribution's own");
    }

    // Whose a node is.

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"0|0600|root:root, mode 0600|sudo chown \"$USER\" /dev/kvm",
        "0|0660|root:root, mode 0660|sudo chown \"$USER\" /dev/kvm",
        "36|0660|root:36, mode 0660|sudo chown \"$USER\" /dev/kvm",
        "104|0660|root:kvm, mode 0660|sudo usermod -aG kvm \"$USER\" && newgrp kvm",
        "104|0640|root:kvm, mode 0640|sudo chown \"$USER\" /dev/kvm"})
    void aNodeThatIsKeptFromAUser(int group, String permissions, String owner, String remedy) {
        assertThat(finding("kvm", keptFromUser(add(host(), "debian"), group, Integer.parseInt(permissions, 8))))
                .isEqualTo(new Finding("kvm", Level.FAILS, "no permission for /dev/kvm; it is " + owner, remedy));
    }

    @Test
    void aMemberOfTheGroupWhoHasNotLoggedInAgain() {
        assertThat(remedy("kvm", keptFromUser(add(host(), "debian"), 104, 0660).file("/etc/group", "kvm:x:104:alice")))
                .isEqualTo("newgrp kvm");
    }

    @Test
    void aGroupThatOstreeHidesFromUsermod() {
        assertThat(remedy("kvm", keptFromUser(add(host(), "fedora", "silverblue"), 36, 0660)))
                .isEqualTo("grep ^kvm: /usr/lib/group | sudo tee -a /etc/group && sudo usermod -aG kvm \"$USER\" && "
                        + "newgrp kvm");
    }

    @Test
    void theProcessorIsFineWhenOnlyTheNodeIsKept() {
        MockHost host = keptFromUser(host(), 104, 0660).file("/proc/cpuinfo",
                "vendor_id : GenuineIntel\nflags : fpu\n");
        assertThat(finding("cpu", host).level()).isEqualTo(Level.OK);
        assertThat(finding("kvm", host).level()).isEqualTo(Level.FAILS);
    }

    @Test
    void aSecurityModule() {
        MockHost host = host().permission("/dev/kvm", Errno.EACCES);
        assertThat(remedy("kvm", host)).startsWith("findmnt -T /dev/kvm");
        assertThat(remedy("kvm", host.file("/proc/self/attr/current", "system_u:system_r:vmm_t:s0")))
                .isEqualTo("sudo ausearch -m avc -ts recent  # what SELinux refused");
        assertThat(remedy("kvm", inContainer(host)))
                .isEqualTo("On the host: sudo setsebool -P container_use_devices on");
        assertThat(remedy("kvm", host.file("/proc/self/attr/current", "/usr/bin/vmm (enforce)")))
                .isEqualTo("Add the line /dev/kvm rw, to the profile /usr/bin/vmm of AppArmor");
    }

    // Containers and services.

    @Test
    void aContainerWithoutTheGroup() {
        MockHost host = inContainer(keptFromUser(host(), 36, 0660));
        assertThat(remedy("kvm", host)).isEqualTo("Start the container with --group-add 36");
        assertThat(remedy("kvm", host.file("/var/run/secrets/kubernetes.io/serviceaccount/token", "")))
                .isEqualTo("Set supplementalGroups: [36] in the pod's securityContext");
        assertThat(remedy("kvm", host.owner("/dev/kvm", 0, 0, 0600))).startsWith("On the host give /dev/kvm a group");
        assertThat(remedy("kvm", host.owner("/dev/kvm", 65534, 65534, 0660)
                .file("/proc/self/uid_map", "         0       1000          1")))
                .contains("--group-add keep-groups");
    }

    @Test
    void anImageWithoutAShell() {
        MockHost host = keptFromUser(host(), 36, 0660).withoutNode("/bin/sh");
        assertThat(remedy("kvm", host)).isEqualTo("Start the container with --group-add 36");
    }

    @Test
    void aContainerOnAHostThatLacksSomething() {
        assertThat(remedy("modules", inContainer(add(host(), "debian").withoutNode("/sys/bus/pci/drivers/vfio-pci"))))
                .isEqualTo("On the host: sudo modprobe vfio-pci");
        assertThat(remedy("iommu", inContainer(withoutIommu("debian")))).isEqualTo(
                "On the kernel's command line add intel_iommu=on (on the host, in its boot loader), and boot again");
        assertThat(remedy("memlock", inContainer(host().memlock(0))))
                .isEqualTo("Start the container with --ulimit memlock=" + MEMORY);
        assertThat(remedy("huge-pages", inContainer(host().hugePages(HugePages.SIZE_2M, 0))))
                .startsWith("On the host: echo 32 ");
        assertThat(remedy("devices", inContainer(bare().device("0000:6a:01.0", device -> device.driver("nvme")))))
                .isEqualTo("On the host: kvm-vfio list, then sudo kvm-vfio bind ADDRESS");
    }

    @Test
    void aPod() {
        MockHost host = host().file("/var/run/secrets/kubernetes.io/serviceaccount/token", "").memlock(0)
                .permission("/dev/kvm", Errno.EPERM);
        assertThat(remedy("kvm", host))
                .isEqualTo("Let the pod ask a device plugin for /dev/kvm, in its resources.limits");
        assertThat(remedy("memlock", host)).contains("IPC_LOCK");
    }

    @Test
    void aServiceWithItsOwnDevices() {
        String edit = "Set DeviceAllow=/dev/kvm rw and PrivateDevices=no: sudo systemctl edit vmm.service";
        assertThat(remedy("kvm", inService(host().permission("/dev/kvm", Errno.EPERM)))).isEqualTo(edit);
        assertThat(remedy("kvm", inService(host().withoutNode("/dev/kvm").file("/sys/class/misc/kvm/uevent", ""))))
                .isEqualTo(edit);
        try (MockKernel kernel = inService(host().permission("/dev/kvm", Errno.EPERM)).start()) {
            assertThatExceptionOfType(KernelException.class).isThrownBy(() -> Kvm.open(kernel))
                    .withMessageContaining(edit);
        }
        assertThat(remedy("memlock", inService(host().memlock(0))))
                .isEqualTo("Set LimitMEMLOCK=" + MEMORY + ": sudo systemctl edit vmm.service");
        assertThat(remedy("kvm", host().permission("/dev/kvm", Errno.EPERM).file("/proc/self/cgroup",
                "1:name=systemd:/user.slice/user-1000.slice/user@1000.service/app.slice/vmm.service")))
                .endsWith(": systemctl --user edit vmm.service");
    }

    // What was chosen, and what is never said.

    @Test
    void someChecks() {
        try (MockKernel kernel = host().start()) {
            assertThat(HostCheck.run(kernel, MEMORY, List.of("iommu", "kvm"))).extracting(Finding::id)
                    .containsExactly("kvm", "iommu");
            assertThat(HostCheck.run(kernel, MEMORY)).extracting(Finding::id).containsAll(HostCheck.names());
            assertThatIllegalArgumentException().isThrownBy(() -> HostCheck.run(kernel, MEMORY, List.of("kvn")))
                    .withMessage("there is no check kvn");
        }
    }

    /** A seccomp profile lets the node be opened, and no VM be made. */
    @Test
    void kvmThatMakesNoMachine() {
        try (MockKernel kernel = host().start()) {
            assertThat(Kvm.unavailabilityCause(kernel)).isEmpty();
            kernel.failCall("KVM_CREATE_VM", 1, Errno.EPERM);
            assertThat(Kvm.unavailabilityCause(kernel)).get().asString().contains("KVM_CREATE_VM", "EPERM");
            kernel.failCall("KVM_CREATE_VM", 1, Errno.EPERM);
            assertThat(HostCheck.run(kernel, MEMORY, List.of("kvm"))).singleElement().satisfies(finding -> {
                assertThat(finding.level()).isEqualTo(Level.FAILS);
                assertThat(finding.reason()).startsWith("KVM_CREATE_VM on /dev/kvm");
                assertThat(finding.remedy()).contains("--security-opt seccomp=");
            });
        }
    }

    @Test
    void devicesThatAreBoundAndKept() {
        MockHost host = bare().asUser().memlock(MEMORY);
        for (int i = 0; i < 5; i++) {
            String node = "vfio" + i;
            int group = i;
            host.device("0000:6a:0" + i + ".0", device -> device.group(group).cdev(node))
                    .owner("/dev/vfio/devices/" + node, 0, 0, 0600).owner("/dev/vfio/" + i, 0, 0, 0600);
        }
        host.device("0000:6b:00.0", device -> device.group(9).driver("nvme"));
        assertThat(finding("devices", host)).isEqualTo(new Finding("devices", Level.FAILS,
                "no PCI device can be attached", ""));
    }

    @ParameterizedTest
    @ValueSource(strings = {"debian", "ubuntu", "fedora", "silverblue"})
    void nothingIsAdvisedThatTakesADeviceInUse(String tree) {
        MockHost host = withoutIommu(tree).withoutNode("/dev/kvm").withoutNode("/dev/vfio/vfio")
                .withoutNode("/dev/iommu")
                .asUser().memlock(0).device("0000:6c:00.1", device -> device.driver("nvme"));
        try (MockKernel kernel = host.start()) {
            assertThat(HostCheck.run(kernel, MEMORY)).extracting(Finding::remedy).noneMatch(remedy -> remedy
                    .matches(".*(driver_override|/sys/bus/pci|unbind|rmmod|modprobe -r|ip link|umount).*"));
        }
    }
}
