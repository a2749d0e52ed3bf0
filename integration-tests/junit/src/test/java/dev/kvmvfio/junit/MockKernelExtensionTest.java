package dev.kvmvfio.junit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;
import static org.junit.platform.testkit.engine.EventConditions.finishedWithFailure;
import static org.junit.platform.testkit.engine.TestExecutionResultConditions.instanceOf;
import static org.junit.platform.testkit.engine.TestExecutionResultConditions.message;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.pci.PciDevice;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ParameterResolutionException;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.junit.platform.testkit.engine.EngineTestKit;
import org.junit.platform.testkit.engine.Events;

/** Test classes as users write them, run by JUnit. */
class MockKernelExtensionTest {
    private static Events tests(Class<?> type) {
        return EngineTestKit.engine("junit-jupiter").selectors(selectClass(type)).execute().allEvents();
    }

    @ExtendWith(MockKernelExtension.class)
    static class Example {
        private static final Set<Kernel> SEEN = ConcurrentHashMap.newKeySet();
        private Kernel before;

        @BeforeEach
        void opens(MockKernel host) {
            before = host;
            assertThat(SEEN.add(host)).as("a host of this test alone").isTrue();
        }

        @AfterEach
        void stillOpen(Kernel host) {
            assertThat(host.access("/dev/kvm")).isZero();
        }

        @Test
        void theSameInBeforeEach(MockKernel host) {
            assertThat(host).isSameAs(before);
            assertThat(PciDevice.list(host)).hasSize(6);
        }

        @ParameterizedTest
        @ValueSource(ints = {1, 2})
        void eachInvocation(int number, Kernel host) {
            assertThat(host).isSameAs(before);
            Kvm.open(host).close();
        }
    }

    @Test
    void eachTestHasOne() {
        Example.SEEN.clear();
        tests(Example.class).assertStatistics(statistics -> statistics.failed(0));
        assertThat(Example.SEEN).hasSize(3);
    }

    static class Described {
        @RegisterExtension
        static final MockKernelExtension HOST = MockKernelExtension
                .of(() -> MockKernel.host(KernelProfile.V6_1).permission("/dev/kvm", Errno.EPERM));

        @Test
        void isTheDescribedOne(MockKernel host) {
            assertThat(host.access("/dev/kvm")).isEqualTo(-Errno.EPERM.number());
        }

        @Test
        void needsNone() {
        }
    }

    @Test
    void aHostOfOnesOwn() {
        tests(Described.class).assertStatistics(statistics -> statistics.succeeded(4).failed(0));
    }

    @ExtendWith(MockKernelExtension.class)
    static class Leaking {
        @Test
        void leaves(Kernel host) {
            Kvm.open(host).createVm();
        }
    }

    @Test
    void aLeakFailsTheTestWithItsPlace() {
        String place = "at .*" + Leaking.class.getName().replace("$", "\\$")
                + "\\.leaves\\(MockKernelExtensionTest\\.java:\\d+\\)";
        tests(Leaking.class).assertThatEvents().haveExactly(1, finishedWithFailure(instanceOf(AssertionError.class),
                message(text -> text.matches("left behind on the mock kernel:\n  fd 3 is open: /dev/kvm\n +" + place
                        + "\n  fd 4 is open: KVM VM\n +" + place))));
    }

    @ExtendWith(MockKernelExtension.class)
    static class OfNoTest {
        OfNoTest(MockKernel host) {
        }

        @Test
        void neverRuns() {
        }
    }

    @Test
    void aConstructorGetsNone() {
        tests(OfNoTest.class).assertThatEvents().haveExactly(1,
                finishedWithFailure(instanceOf(ParameterResolutionException.class)));
    }

    @ExtendWith(MockKernelExtension.class)
    static class Parallel {
        private static final int AT_ONCE = 2;
        private static final CountDownLatch BOTH = new CountDownLatch(AT_ONCE);

        @RepeatedTest(8)
        void opens(Kernel host) throws InterruptedException {
            try (Kvm kvm = Kvm.open(host)) {
                BOTH.countDown();
                assertThat(BOTH.await(30, TimeUnit.SECONDS)).as("two tests run at once").isTrue();
                assertThat(kvm.fd().number()).isEqualTo(3);
            }
        }
    }

    @Test
    void testsInParallel() {
        EngineTestKit.engine("junit-jupiter").selectors(selectClass(Parallel.class))
                .configurationParameter("junit.jupiter.execution.parallel.enabled", "true")
                .configurationParameter("junit.jupiter.execution.parallel.mode.default", "concurrent")
                .configurationParameter("junit.jupiter.execution.parallel.config.strategy", "fixed")
                .configurationParameter("junit.jupiter.execution.parallel.config.fixed.parallelism", "4").execute()
                .testEvents().assertStatistics(statistics -> statistics.succeeded(8).failed(0));
    }
}
