package dev.kvmvfio.it.lab;

import java.io.IOException;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;

/** The tier kvm of a machine without /dev/kvm: its tests run in the lab's machine, on the lab's default kernel. */
@Tag("kvm-in-lab")
class KvmInLabTest {
    @TestFactory
    Stream<DynamicNode> testsInTheLab() throws IOException, InterruptedException {
        String pauses = System.getProperty("pauses");
        return Lab.tests(List.of(), "exec " + Lab.ON_CLASS_PATH + " -Dproject.root=/share"
                + (pauses == null ? "" : " -Dpauses=" + pauses), "kvm",
                List.of(System.getProperty("kvm.tests").split(",")));
    }
}
