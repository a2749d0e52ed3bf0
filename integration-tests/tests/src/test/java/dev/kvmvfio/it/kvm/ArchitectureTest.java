package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.aarch64.kvm_aarch64_h;
import dev.kvmvfio.bindings.kvm.aarch64.kvm_vcpu_init;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The facets of an architecture are those of the host's. */
@Tag("mock")
class ArchitectureTest {
    private static final int TARGET = 5;

    private final MockKernel mock = MockKernel.example();
    private final List<String> calls = new ArrayList<>();

    @AfterEach
    void nothingIsLeft() {
        mock.close();
    }

    @Test
    void isAskedForOnce() {
        try (Kvm kvm = Kvm.open(mock); Vm vm = kvm.createVm()) {
            Vcpu vcpu = vm.createVcpu(0);
            mock.clearTrace();
            assertThat(vcpu.x86()).isSameAs(vcpu.x86());
            assertThat(vm.x86()).isSameAs(vm.x86());
            assertThat(kvm.x86()).isSameAs(kvm.x86());
            assertThat(vm.createVcpu(1).x86()).isNotSameAs(vcpu.x86());
            assertThat(mock.trace()).filteredOn(call -> call.toString().contains("KVM_CHECK_EXTENSION")).hasSize(1);
            assertIsNoneOfTheHosts(vcpu::aarch64, vcpu + " is not of aarch64");
        }
    }

    @Test
    void isAarch64() {
        try (Kvm kvm = Kvm.open(aarch64()); Vm vm = kvm.createVm()) {
            Vcpu vcpu = vm.createVcpu(0);
            assertIsNoneOfTheHosts(kvm::x86, kvm + " is not of x86-64");
            assertIsNoneOfTheHosts(vm::x86, vm + " is not of x86-64");
            assertIsNoneOfTheHosts(vcpu::x86, vcpu + " is not of x86-64: its registers are read with oneReg");
            vcpu.aarch64().init(kvm_aarch64_h.KVM_ARM_VCPU_PSCI_0_2(), kvm_aarch64_h.KVM_ARM_VCPU_POWER_OFF(), 33);
            assertThat(calls).containsExactly("preferred target on " + vm.fd().number(),
                    "init on " + vcpu.fd().number() + ", target " + TARGET + ", features 101 10");
        }
    }

    private static void assertIsNoneOfTheHosts(ThrowingCallable facet, String message) {
        assertThatThrownBy(facet).isInstanceOf(UnsupportedOperationException.class).hasMessage(message);
    }

    /** The mock, but for what an aarch64 kernel answers otherwise here. */
    private Kernel aarch64() {
        return (Kernel) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[]{Kernel.class},
                (_, method, arguments) -> {
                    boolean isIoctl = method.getName().equals("ioctl");
                    Integer answer = isIoctl ? answer((int) arguments[0], (long) arguments[1], arguments[2]) : null;
                    return answer == null ? onMock(method, arguments) : answer;
                });
    }

    private Integer answer(int fd, long request, Object argument) {
        if (!(argument instanceof MemorySegment segment)) {
            throw new AssertionError(argument);
        }
        if (request == kvm_h.KVM_CHECK_EXTENSION()) {
            long capability = segment.address();
            return capability == kvm_h.KVM_CAP_EXT_CPUID() ? 0 : capability == kvm_h.KVM_CAP_ARM_PSCI() ? 1 : null;
        }
        if (request == kvm_aarch64_h.KVM_ARM_PREFERRED_TARGET()) {
            kvm_vcpu_init.target(segment, TARGET);
            calls.add("preferred target on " + fd);
            return 0;
        }
        if (request == kvm_aarch64_h.KVM_ARM_VCPU_INIT()) {
            calls.add("init on " + fd + ", target " + kvm_vcpu_init.target(segment) + ", features "
                    + Integer.toBinaryString(kvm_vcpu_init.features(segment, 0)) + " "
                    + Integer.toBinaryString(kvm_vcpu_init.features(segment, 1)));
            return 0;
        }
        return null;
    }

    private Object onMock(Method method, Object[] arguments) throws Throwable {
        try {
            return method.invoke(mock, arguments);
        } catch (InvocationTargetException failure) {
            throw failure.getCause();
        }
    }
}
