package dev.kvmvfio.it.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectPackage;
import static org.junit.platform.launcher.TagFilter.includeTags;

import dev.kvmvfio.it.lab.Lab.Run;
import dev.kvmvfio.vmm.LinuxVmm;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.launcher.TestPlan;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * The virtual lab's tier: runs the test classes tagged {@code in-lab} in the machine on each kernel, one test here for
 * each one there, and the command-line program as a person would.
 */
@Tag("lab")
class LabTest {
    private static final String EDU = "0000:00:05.0";
    private static final String UNBOUND = "0000:00:06.0";
    private static final String DISK = "0000:00:10.0";

    private static final String EXIT = "@exit ";
    private static final String JAVA = "exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
            + " --enable-native-access=dev.kvmvfio,ALL-UNNAMED --module-path $KVM_VFIO_LIB --add-modules dev.kvmvfio.mock"
            + " -cp '/share/integration-tests/tests/target/test-classes:/share/integration-tests/vmm/target/classes"
            + ":/share/integration-tests/tests/target/lab/lib/*' ";

    /** A class, with # and a method if not all of it; and if none is asked for, all that are tagged. */
    private static final List<String> IN_LAB = Optional.ofNullable(System.getProperty("lab.tests")).map(List::of)
            .orElseGet(() -> classesTagged("in-lab"));

    static Stream<String> kernels() {
        return Arrays.stream(System.getProperty("kernels").split(","));
    }

    private static List<String> classesTagged(String tag) {
        TestPlan plan = LauncherFactory.create().discover(LauncherDiscoveryRequestBuilder.request()
                .selectors(selectPackage("dev.kvmvfio.it")).filters(includeTags(tag)).build());
        return plan.getRoots().stream().flatMap(root -> plan.getChildren(root).stream())
                .map(test -> ((ClassSource) test.getSource().orElseThrow()).getClassName()).toList();
    }

    private static List<String> interfacesOf(String kernel) {
        return kernel.equals("6.1") ? List.of("GROUP") : List.of("CDEV", "GROUP");
    }

    /** Runs several command lines in one machine, and tells what each one printed and how it ended. */
    private static List<Run> commands(List<String> options, List<String> commands) throws Exception {
        String script = commands.stream().map(command -> command + "; echo \"" + EXIT + "$?\"; ").reduce("",
                String::concat);
        Run all = Lab.run(options, "sh", "-c", "exec 2>&1; " + script);
        assertThat(all.exitCode()).isZero();
        List<Run> runs = new ArrayList<>();
        int start = 0;
        for (Matcher end = Pattern.compile("(?m)^" + EXIT + "(\\d+)\n").matcher(all.text()); end
                .find(); start = end.end()) {
            runs.add(new Run(Integer.parseInt(end.group(1)), all.text().substring(start, end.start())));
        }
        assertThat(runs).hasSameSizeAs(commands);
        return runs;
    }

    private static String attach(String by) {
        return "kvm-vfio attach --interface " + by.toLowerCase(Locale.ROOT) + " " + EDU;
    }

    @TestFactory
    Stream<DynamicContainer> testsInTheLab() {
        return kernels().map(kernel -> DynamicContainer.dynamicContainer("Linux " + kernel, testsOn(kernel)));
    }

    private static Stream<DynamicNode> testsOn(String kernel) {
        try {
            return Lab.tests(List.of("--kernel", kernel),
                    JAVA + "-Dinterfaces=" + String.join(",", interfacesOf(kernel)), "in-lab", IN_LAB);
        } catch (IOException | InterruptedException failure) {
            throw new IllegalStateException(failure);
        }
    }

    /** As scripts/linux-guest does it. */
    @Test
    void theExampleBootsLinuxWithTwoDevices() throws Exception {
        Run run = Lab.run(List.of(), "sh", "-c", "exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
                + " --enable-native-access=dev.kvmvfio --module-path $KVM_VFIO_LIB:/share/integration-tests/vmm/target/classes"
                + " -m dev.kvmvfio.vmm/" + LinuxVmm.class.getName() + " --device " + LabMachine.NVME + " --device "
                + LabMachine.NETWORK + " --command 'head -c 20 /dev/nvme0n1; cat /sys/class/net/eth0/address'"
                + " /guest/vmlinuz /guest/initramfs.cpio");
        assertThat(run.exitCode()).isZero();
        assertThat(run.text()).contains("kvm-vfio sector 0 ", "52:54:00:12:34:56", "guest: the command ended with 0");
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void theProgramAttachesAndDetaches(String kernel) throws Exception {
        List<String> interfaces = interfacesOf(kernel);
        List<String> commands = Stream.of("AUTO", "CDEV", "GROUP").map(LabTest::attach).toList();
        List<Run> runs = new ArrayList<>(commands(List.of("--kernel", kernel), commands));
        if (!interfaces.contains("CDEV")) {
            assertRefused(List.of(runs.remove(1)), "open on /dev/vfio/devices/", "ENOENT", "CONFIG_VFIO_DEVICE_CDEV");
        }
        assertThat(runs).allSatisfy(run -> {
            assertThat(run.text()).contains("1234:11e8").contains("BAR 0").contains("1 MiB");
            assertThat(run.exitCode()).isZero();
        });
        assertThat(runs.getFirst().text()).contains("Attaching " + EDU
                + (interfaces.contains("CDEV")
                        ? " by cdev (/dev/vfio/devices/"
                        : " by group (there is no /dev/vfio/devices/"));
        for (int i = 0; i < interfaces.size(); i++) {
            assertThat(runs.get(i + 1).text()).contains(
                    interfaces.get(i).equals("CDEV") ? "VFIO_DEVICE_BIND_IOMMUFD" : "VFIO_GROUP_GET_DEVICE_FD");
        }
    }

    @Test
    void theShellRunsItsExamples() throws Exception {
        List<Run> runs = commands(List.of(),
                Stream.of("attach-by-cdev", "attach-by-group", "dma", "regions")
                        .map(name -> "shell /kvm-vfio/examples/" + name + ".jsh").toList());
        assertThat(runs).extracting(Run::exitCode).containsOnly(0);
        assertThat(runs.get(0).text()).contains("/dev/vfio/devices/vfio0", "device 1234:11e8, class 00ff00");
        assertThat(runs.get(1).text()).contains(EDU).contains("of /dev/vfio/");
        assertThat(runs.get(2).text()).contains("Hello by DMA of " + EDU);
        assertThat(runs.get(3).text()).contains("BAR 0 of ");
    }

    private static void assertRefused(List<Run> runs, String... messages) {
        assertThat(runs).allSatisfy(run -> {
            assertThat(run.text()).contains(messages);
            assertThat(run.text().lines().filter(line -> line.startsWith("kvm-vfio: "))).hasSize(1);
            assertThat(run.exitCode()).isEqualTo(1);
        });
    }

    /** In one machine, one after the other: what is taken from the host is given back. */
    @ParameterizedTest
    @MethodSource("kernels")
    void theProgramListsChecksAndBinds(String kernel) throws Exception {
        String binding = "(readlink /sys/bus/pci/devices/%1$s/driver; cat /sys/bus/pci/devices/%1$s/driver_override)";
        List<Run> runs = commands(List.of("--kernel", kernel, "--timeout", "1200"),
                List.of("kvm-vfio list", "kvm-vfio doctor --memory 4", "kvm-vfio bind " + UNBOUND,
                        "kvm-vfio attach " + UNBOUND, "kvm-vfio unbind " + UNBOUND, binding.formatted(UNBOUND),
                        "kvm-vfio bind " + DISK, "kvm-vfio unbind " + DISK, binding.formatted(DISK),
                        "kvm-vfio bind 0000:00:1f.2 --json", "kvm-vfio list --json", "kvm-vfio unbind 0000:00:1f.2",
                        "mkfifo /tmp/hold; (sleep 1200 >/tmp/hold) & kvm-vfio attach " + EDU
                                + " </tmp/hold >/tmp/attached & until grep -q Press /tmp/attached; do sleep 0.1; done; "
                                + "kvm-vfio unbind " + EDU,
                        "kvm-vfio bind 0000:00:09.0"));
        boolean cdevs = interfacesOf(kernel).contains("CDEV");
        assertThat(runs.get(0).text())
                .containsPattern(EDU + "  1234:11e8  vfio-pci +\\d+ +" + (cdevs ? "vfio0" : "-") + " +yes")
                .containsPattern(UNBOUND + "  1b36:0005  - +\\d+ +- +no: not bound to vfio-pci")
                .containsPattern(DISK + "  1af4:1001  virtio-pci +\\d+ +- +no: bound to virtio-pci");
        assertThat(runs.get(1).text()).contains("OK       cpu                  the processor has AMD-V",
                "OK       kvm                  /dev/kvm can be opened, API version 12",
                "OK       interrupt-remapping  a device can raise no interrupts but its own",
                "by dmar0", "5 of ").contains(cdevs ? "OK       iommufd" : "warning  iommufd");
        assertThat(runs.get(1).exitCode()).isZero();
        assertThat(runs.get(2)).isEqualTo(new Run(0, UNBOUND + ": vfio-pci, before no driver\n"));
        assertThat(runs.get(3).text()).contains(UNBOUND + " is 1b36:0005");
        assertThat(runs.get(4)).isEqualTo(new Run(0, UNBOUND + ": no driver, before vfio-pci\n"));
        assertThat(runs.get(5).text()).isEqualTo("(null)\n");
        assertRefused(List.of(runs.get(6)), DISK + " is in use: vda is mounted at /runtime");
        assertRefused(List.of(runs.get(7)), "is bound to the driver virtio-pci, not to vfio-pci");
        assertThat(runs.get(8).text()).contains("/virtio-pci\n(null)\n");
        assertThat(runs.get(9).text()).contains("\"driver\": \"vfio-pci\"").contains("\"previousDriver\": null");
        assertThat(runs.get(10).exitCode()).isZero();
        assertThat(runs.get(11).exitCode()).isZero();
        assertRefused(List.of(runs.get(12)), EDU + " is in use: process ", "(java) has it open");
        assertRefused(List.of(runs.get(13)), "0000:00:09.0 is a bridge, which vfio-pci does not take");
    }

    @Test
    void withoutAnIommu() throws Exception {
        List<Run> runs = commands(List.of("--iommu", "none"),
                List.of(attach("auto"), "kvm-vfio bind " + UNBOUND, "kvm-vfio doctor", "kvm-vfio list"));
        assertRefused(runs.subList(0, 2), "this host has no IOMMU that is switched on");
        assertFails(runs.get(2), "fails    iommu                no IOMMU is switched on");
        assertThat(runs.get(3).text()).containsPattern(EDU + " .* no: in no IOMMU group");
    }

    private static void assertFails(Run run, String... findings) {
        assertThat(run.text()).contains(findings);
        assertThat(run.exitCode()).isEqualTo(1);
    }

    @Test
    void withoutInterruptRemapping() throws Exception {
        List<Run> runs = commands(List.of("--iommu", "no-intremap"),
                List.of(attach("cdev"), attach("group"), "kvm-vfio doctor", "kvm-vfio list"));
        assertRefused(runs.subList(0, 2), "EPERM", "interrupt remapping");
        assertFails(runs.get(2), "fails    interrupt-remapping  there is none, so VFIO takes no device");
        assertThat(runs.get(3).text()).containsPattern(EDU + " .* no: no interrupt remapping");
    }

    @Test
    void withoutPermissionOrMemoryOrKvm() throws Exception {
        String asNobody = "su nobody -s /bin/sh -c '%s'";
        String permit = "chmod 666 /dev/kvm /dev/iommu /dev/vfio/vfio /dev/vfio/[0-9]* /dev/vfio/devices/*; ulimit -l 64; ";
        List<Run> runs = commands(List.of(),
                List.of(asNobody.formatted(attach("auto")), permit + asNobody.formatted(attach("cdev")),
                        asNobody.formatted(attach("group")), "rm /dev/kvm; " + attach("auto"),
                        "chmod 600 /dev/iommu; " + asNobody.formatted("kvm-vfio doctor --memory 1"),
                        asNobody.formatted("kvm-vfio list"), asNobody.formatted("kvm-vfio bind " + UNBOUND)));
        assertRefused(runs.subList(0, 1), "open on /dev/kvm: EACCES", "by its group");
        assertRefused(runs.subList(1, 3), "ENOMEM", "RLIMIT_MEMLOCK allows this process to pin 64 KiB");
        assertRefused(runs.subList(3, 4), "open on /dev/kvm: ENOENT", "kvm_amd");
        assertFails(runs.get(4), "> Start the container with --device /dev/kvm",
                "warning  iommufd              no permission for /dev/iommu (EACCES)",
                "RLIMIT_MEMLOCK is 64 KiB, and 1 MiB of guest memory would be pinned for a device");
        assertThat(runs.get(5).text()).containsPattern(EDU + " .* no: no permission for /dev/iommu \\(EACCES\\)");
        assertRefused(runs.subList(6, 7), "driver_override", "EACCES", "Run it as root");
    }
}
