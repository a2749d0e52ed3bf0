package dev.kvmvfio.it.containers;

import static org.assertj.core.api.Assertions.assertThat;

import com.github.dockerjava.api.model.Capability;
import com.github.dockerjava.api.model.Device;
import com.github.dockerjava.api.model.HostConfig;
import com.github.dockerjava.api.model.Ulimit;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.testcontainers.DockerClientFactory;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.containers.startupcheck.OneShotStartupCheckStrategy;
import org.testcontainers.utility.DockerImageName;
import org.testcontainers.utility.MountableFile;

/**
 * The library in containers, with and without what it needs from them. What can work works on the machine's own KVM,
 * and every refusal names what was missing. Without a container engine the tests fail.
 */
@Tag("containers")
class ContainerTest {
    private static final Path ROOT = Path.of(System.getProperty("project.root")).normalize();
    private static final String IMAGE = "kvm-vfio-test";
    private static final String ROOT_USER = "0:0";
    private static final String ORDINARY_USER = "1000:1000";
    /** In a machine that is emulated in software, a JVM takes its time. */
    private static final Duration LONGEST = Duration.ofMinutes(5);
    private static final int KVM_CREATE_VM = 0xae01;

    @TempDir
    private static Path folder;
    private static Path kvm;

    private final HostConfig host = HostConfig.newHostConfig();
    private String user = ROOT_USER;

    /** It takes a whole JDK to make the image: where there is none, a property tells where it is. */
    @BeforeAll
    static void loadTheImage() throws IOException, InterruptedException {
        String made = System.getProperty("container.image");
        try (InputStream archive = Files
                .newInputStream(made == null ? makeTheImage(folder.resolve("image.tar")) : Path.of(made))) {
            DockerClientFactory.instance().client().loadImageCmd(archive).exec();
        }
    }

    static Path makeTheImage(Path archive) throws IOException, InterruptedException {
        ProcessBuilder script = new ProcessBuilder(ROOT.resolve("scripts/container-image").toString(), IMAGE);
        script.environment().put("KVM_VFIO_LIB", ROOT.resolve("scripts/target/lib").toString());
        Process image = script.redirectError(ProcessBuilder.Redirect.INHERIT).redirectOutput(archive.toFile()).start();
        assertThat(image.waitFor()).isZero();
        return archive;
    }

    /** The machine's node if it is for a group alone, otherwise another node of the same device that is. */
    @BeforeAll
    static void findANodeOfAGroup() throws IOException, InterruptedException {
        kvm = Path.of("/dev/kvm");
        Set<PosixFilePermission> granted = Files.getPosixFilePermissions(kvm);
        if (!granted.contains(PosixFilePermission.GROUP_WRITE) || granted.contains(PosixFilePermission.OTHERS_WRITE)) {
            kvm = folder.resolve("kvm");
            run("mknod", kvm.toString(), "c", "10", "232");
            run("chgrp", "47110", kvm.toString());
            run("chmod", "660", kvm.toString());
        }
    }

    private static void run(String... command) throws IOException, InterruptedException {
        assertThat(new ProcessBuilder(command).inheritIO().start().waitFor()).as(String.join(" ", command)).isZero();
    }

    @AfterAll
    static void removeTheImage() {
        DockerClientFactory.instance().client().removeImageCmd(IMAGE + ":latest").exec();
    }

    private void device(String permissions) {
        host.withDevices(new Device(permissions, "/dev/kvm", kvm.toString()));
    }

    private void group(int number) {
        host.withGroupAdd(List.of(Integer.toString(number)));
    }

    private static int groupOfTheNode() throws IOException {
        return (int) Files.getAttribute(kvm, "unix:gid");
    }

    /** Runs {@link InContainer} and answers with the line that it printed. */
    private String inContainer(String what) {
        String classFile = InContainer.class.getName().replace('.', '/') + ".class";
        return run(container -> container
                .withCopyFileToContainer(
                        MountableFile
                                .forHostPath(ROOT.resolve("integration-tests/tests/target/test-classes", classFile)),
                        "/test/" + classFile)
                .withCreateContainerCmdModifier(create -> create.withEntrypoint("/java/bin/java"))
                .withCommand("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "/test", "--add-modules",
                        "dev.kvmvfio.mock", "--enable-native-access=dev.kvmvfio",
                        InContainer.class.getName(), what));
    }

    private String run(Consumer<GenericContainer<?>> described) {
        try (GenericContainer<?> container = new GenericContainer<>(DockerImageName.parse(IMAGE + ":latest"))) {
            container.withImagePullPolicy(_ -> false)
                    .withStartupCheckStrategy(new OneShotStartupCheckStrategy().withTimeout(LONGEST))
                    .withCreateContainerCmdModifier(
                            create -> create.withUser(user).withHostConfig(host.withNetworkMode("none")));
            described.accept(container);
            container.start();
            return container.getLogs();
        }
    }

    private void assertWorks() {
        assertThat(inContainer("kvm")).startsWith("done: version 12, KVM device VFIO").contains("memory slot 0 of VM");
    }

    private void assertRefused(String... parts) {
        assertThat(inContainer("kvm")).startsWith("refused: ").contains(parts);
    }

    @Test
    void rootWithTheDevice() {
        device("rwm");
        assertWorks();
    }

    @ParameterizedTest
    @ValueSource(strings = {ROOT_USER, ORDINARY_USER})
    void withoutTheDevice(String anyUser) {
        user = anyUser;
        assertRefused("open on /dev/kvm: ENOENT", "a container needs --device /dev/kvm");
        assertThat(inContainer("iommufd")).startsWith("refused: open on /dev/iommu: ENOENT")
                .contains("A container needs --device /dev/iommu");
    }

    /** As a user whom the image knows nothing of, with no shell to look around. */
    @Test
    void theDoctorOfAnImageWithoutAShell() throws IOException {
        user = ORDINARY_USER;
        assertThat(inContainer("doctor")).startsWith("done: FAILS kvm: there is no /dev/kvm")
                .contains("Start the container with --device /dev/kvm");
        device("rwm");
        assertThat(inContainer("doctor")).startsWith("done: FAILS kvm: no permission for /dev/kvm; it is root:")
                .contains("Start the container with --group-add " + groupOfTheNode());
        group(groupOfTheNode());
        assertThat(run(container -> container.withCommand("doctor", "kvm")))
                .contains("OK       kvm                  /dev/kvm can be opened, API version 12");
    }

    @Test
    void anOrdinaryUserWithoutTheGroup() {
        user = ORDINARY_USER;
        device("rwm");
        assertRefused("open on /dev/kvm: EACCES", "needs --group-add", "$(stat -c %g /dev/kvm)");
    }

    @Test
    void anOrdinaryUserWithAnotherGroup() throws IOException {
        user = ORDINARY_USER;
        device("rwm");
        group(groupOfTheNode() + 1);
        assertRefused("open on /dev/kvm: EACCES", "needs --group-add");
    }

    @Test
    void anOrdinaryUserWithTheGroup() throws IOException {
        user = ORDINARY_USER;
        device("rwm");
        group(groupOfTheNode());
        assertWorks();
    }

    @Test
    void aDeviceThatMayOnlyBeRead() {
        device("r");
        assertRefused("open on /dev/kvm: EPERM", "a container needs --device /dev/kvm, with read and write permission");
    }

    @Test
    void aProfileThatRefusesOneIoctl() {
        device("rwm");
        seccomp("""
                {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO",
                  "args": [{"index": 1, "value": %d, "op": "SCMP_CMP_EQ"}]}]}""".formatted(KVM_CREATE_VM));
        assertRefused("KVM_CREATE_VM on /dev/kvm", "EPERM", "--security-opt seccomp=");
    }

    @Test
    void anOrdinaryUserWithNothingElse() throws IOException {
        user = ORDINARY_USER;
        device("rwm");
        group(groupOfTheNode());
        seccomp(Files.readString(ROOT.resolve("integration-tests/tests/src/test/resources/containers/seccomp.json")));
        host.withCapDrop(Capability.ALL);
        assertWorks();
    }

    private void seccomp(String profile) {
        host.withSecurityOpts(List.of("no-new-privileges", "seccomp=" + profile));
    }

    @Test
    void tooLittleLockableMemory() {
        host.withUlimits(List.of(new Ulimit("memlock", 65536L, 65536L)));
        assertThat(inContainer("memlock")).startsWith("refused: IOMMU_IOAS_MAP")
                .contains("ENOMEM", "allows this process to pin 64 KiB", "--ulimit memlock=", "--cap-add IPC_LOCK");
    }

    @Test
    void enoughLockableMemory() {
        host.withUlimits(List.of(new Ulimit("memlock", 2L << 20, 2L << 20)));
        assertThat(inContainer("memlock")).startsWith("done: ");
    }

    /** As the README shows it. */
    @Test
    void theProgram() {
        assertThat(run(container -> container.withCommand("attach", "--mock", "0000:6a:01.0")))
                .contains("+ VFIO_DEVICE_BIND_IOMMUFD");
    }
}
