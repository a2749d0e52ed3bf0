package dev.kvmvfio.it.containers;

import dev.kvmvfio.it.lab.Lab;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;

/** The tier containers of a machine without /dev/kvm: its tests run in the lab's machine, with an engine there. */
@Tag("containers-in-lab")
class ContainersInLabTest {
    private static final String IMAGE = "integration-tests/tests/target/container-image.tar";

    @TestFactory
    Stream<DynamicNode> testsInTheLab() throws IOException, InterruptedException {
        ContainerTest.makeTheImage(Lab.ROOT.resolve(IMAGE));
        return Lab.tests(List.of("--docker"),
                "TESTCONTAINERS_RYUK_DISABLED=true TESTCONTAINERS_HOST_OVERRIDE=localhost exec container-engine "
                        + Lab.ON_CLASS_PATH + " -Dproject.root=/share -Dcontainer.image=" + Path.of("/share", IMAGE)
                        + " -Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "containers", List.of(System.getProperty("containers.tests").split(",")));
    }
}
