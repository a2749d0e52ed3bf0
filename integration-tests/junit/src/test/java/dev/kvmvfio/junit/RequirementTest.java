package dev.kvmvfio.junit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.passthrough.Candidate;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.testkit.engine.EngineExecutionResults;
import org.junit.platform.testkit.engine.EngineTestKit;
import org.junit.platform.testkit.engine.Event;

/** Tests that need what this machine has or has not: both ways are right, and each machine goes one of them. */
class RequirementTest {
    static class NeedsKvm {
        @Test
        @RequiresKvm
        void makesAVm() {
            try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm()) {
                assertThat(vm.isOpen()).isTrue();
            }
        }
    }

    @RequiresVfio
    static class NeedsVfio {
        @Test
        void findsADevice() {
            assertThat(Candidate.list(Kernel.linux())).anyMatch(Candidate::isAttachable);
        }
    }

    private static EngineExecutionResults run(Class<?> type, String missing) {
        return EngineTestKit.engine("junit-jupiter").selectors(selectClass(type))
                .configurationParameter("dev.kvmvfio.missing", missing).execute();
    }

    private static List<Throwable> failures(EngineExecutionResults results) {
        return results.allEvents().failed().map(event -> event.getRequiredPayload(TestExecutionResult.class))
                .flatMap(result -> result.getThrowable().stream()).toList();
    }

    private static boolean hasVfio() {
        return Candidate.list(Kernel.linux()).stream().anyMatch(Candidate::isAttachable);
    }

    private static void assertRunsOrIs(String missing, Class<?> type, boolean isThere, String reason) {
        EngineExecutionResults results = run(type, missing);
        if (isThere) {
            results.testEvents().assertStatistics(statistics -> statistics.succeeded(1).skipped(0));
        } else if (missing.equals("skip")) {
            assertThat(results.allEvents().skipped().map(Event::getPayload)).singleElement().asString()
                    .contains(reason);
            assertThat(failures(results)).isEmpty();
        } else {
            assertThat(failures(results)).singleElement().asString().contains(reason);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"skip", "fail"})
    void kvm(String missing) {
        assertRunsOrIs(missing, NeedsKvm.class, Kvm.unavailabilityCause().isEmpty(), "no KVM here: ");
    }

    @ParameterizedTest
    @ValueSource(strings = {"skip", "fail"})
    void vfio(String missing) {
        assertRunsOrIs(missing, NeedsVfio.class, hasVfio(), "no VFIO here: FAILS ");
    }

    @Test
    void aWordThatMeansNothing() {
        assertThat(failures(run(NeedsKvm.class, "ignore"))).singleElement().asString()
                .contains("dev.kvmvfio.missing is \"ignore\", which is neither skip nor fail");
    }
}
