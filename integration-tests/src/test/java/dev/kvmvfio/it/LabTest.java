package dev.kvmvfio.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The virtual lab's tier: runs the guest's test classes on each kernel, one test here for each one there, and the
 * command-line program as a person would.
 */
@Tag("lab")
class LabTest {
    private static final Path ROOT = Path.of(System.getProperty("project.root")).normalize();
    private static final String EDU = "0000:00:05.0";

    private record Run(int exitCode, List<String> lines) {
        String text() {
            return String.join("\n", lines);
        }
    }

    static Stream<String> kernels() {
        return Arrays.stream(System.getProperty("kernels").split(","));
    }

    private static List<String> interfacesOf(String kernel) {
        return kernel.equals("6.1") ? List.of("GROUP") : List.of("CDEV", "GROUP");
    }

    private static Run lab(List<String> options, String... command) throws IOException, InterruptedException {
        List<String> line = new ArrayList<>(List.of(ROOT.resolve("scripts/lab").toString(), "--yes"));
        line.addAll(options);
        line.add("--");
        line.addAll(Arrays.asList(command));
        Process process = new ProcessBuilder(line).redirectErrorStream(true)
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile())).start();
        List<String> lines = new ArrayList<>();
        try (BufferedReader output = process.inputReader(StandardCharsets.UTF_8)) {
            output.lines().forEach(text -> {
                System.out.println(text);
                lines.add(text);
            });
        }
        return new Run(process.waitFor(), lines);
    }

    private static Run attach(List<String> options, String setup, String... arguments)
            throws IOException, InterruptedException {
        return lab(options, "sh", "-c", setup + "kvm-vfio attach " + String.join(" ", arguments));
    }

    @TestFactory
    Stream<DynamicContainer> guests() {
        return kernels().map(kernel -> DynamicContainer.dynamicContainer("Linux " + kernel, guest(kernel)));
    }

    private static Stream<DynamicNode> guest(String kernel) {
        Run run;
        try {
            run = lab(List.of("--kernel", kernel, "--share", ROOT.resolve("integration-tests/target").toString()), "sh",
                    "-c",
                    "exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC --enable-native-access=dev.kvmvfio,ALL-UNNAMED"
                            + " -Dinterfaces=" + String.join(",", interfacesOf(kernel))
                            + " --module-path $KVM_VFIO_LIB --add-modules dev.kvmvfio"
                            + " -cp '/share/test-classes:/share/lab/lib/*' " + GuestTests.class.getName() + " "
                            + String.join(" ", GUEST_CLASSES));
        } catch (IOException | InterruptedException failure) {
            throw new IllegalStateException(failure);
        }
        Stream<DynamicNode> each = run.lines().stream().filter(line -> line.startsWith(GuestTests.MARK))
                .map(line -> DynamicTest.dynamicTest(line.substring(GuestTests.MARK.length()),
                        () -> assertThat(line).startsWith(GuestTests.MARK + "passed ")));
        DynamicNode end = DynamicTest.dynamicTest("all ran", () -> {
            assertThat(run.exitCode()).isZero();
            for (String name : GUEST_CLASSES) {
                assertThat(run.text())
                        .contains(GuestTests.MARK + "passed " + name.substring(name.lastIndexOf('.') + 1) + ".");
            }
        });
        return Stream.concat(each, Stream.of(end));
    }

    private static final List<String> GUEST_CLASSES = Stream
            .of(GuestAttachTest.class, GuestDeviceTest.class, GuestRefusalTest.class).map(Class::getName).toList();

    @ParameterizedTest
    @MethodSource("kernels")
    void theProgramAttachesAndDetaches(String kernel) throws Exception {
        for (String by : interfacesOf(kernel)) {
            Run run = attach(List.of("--kernel", kernel), "", "--interface", by.toLowerCase(), EDU);
            assertThat(run.text()).contains("1234:11e8").contains("BAR 0").contains("1 MiB")
                    .contains(by.equals("CDEV") ? "VFIO_DEVICE_BIND_IOMMUFD" : "VFIO_GROUP_GET_DEVICE_FD");
            assertThat(run.exitCode()).isZero();
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void autoSaysWhyItChose(String kernel) throws Exception {
        Run run = attach(List.of("--kernel", kernel), "", EDU);
        assertThat(run.text()).contains(interfacesOf(kernel).contains("CDEV")
                ? "Attaching " + EDU + " by cdev (/dev/vfio/devices/"
                : "Attaching " + EDU + " by group (there is no /dev/vfio/devices/");
        assertThat(run.exitCode()).isZero();
    }

    @Test
    void withoutAnIommu() throws Exception {
        Run run = attach(List.of("--iommu", "none"), "", EDU);
        assertThat(run.text()).contains("this host has no IOMMU that is switched on");
        assertThat(run.exitCode()).isEqualTo(1);
    }

    @Test
    void withoutInterruptRemapping() throws Exception {
        for (String by : List.of("cdev", "group")) {
            Run run = attach(List.of("--iommu", "no-intremap"), "", "--interface", by, EDU);
            assertThat(run.text()).contains("EPERM").contains("interrupt remapping");
            assertThat(run.exitCode()).isEqualTo(1);
        }
    }

    @Test
    void withoutKvm() throws Exception {
        Run run = attach(List.of(), "rm /dev/kvm; ", EDU);
        assertThat(run.text()).contains("open on /dev/kvm: ENOENT").contains("kvm_amd");
        assertThat(run.exitCode()).isEqualTo(1);
    }

    @Test
    void withoutPermission() throws Exception {
        Run run = lab(List.of(), "su", "nobody", "-s", "/bin/sh", "-c", "kvm-vfio attach " + EDU);
        assertThat(run.text()).contains("open on /dev/kvm: EACCES").contains("group");
        assertThat(run.exitCode()).isEqualTo(1);
    }

    @Test
    void withTooLittleLockableMemory() throws Exception {
        for (String by : List.of("cdev", "group")) {
            Run run = lab(List.of(), "sh", "-c",
                    "chmod 666 /dev/kvm /dev/iommu /dev/vfio/* /dev/vfio/devices/*; chmod 755 "
                            + "/dev/vfio/devices; ulimit -l 64; su nobody -s /bin/sh -c 'kvm-vfio attach --interface "
                            + by + " "
                            + EDU + "'");
            assertThat(run.text()).contains("ENOMEM").contains("RLIMIT_MEMLOCK allows this process to pin 64 KiB");
            assertThat(run.exitCode()).isEqualTo(1);
        }
    }
}
