package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_msi;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_xsave;
import dev.kvmvfio.bindings.vfio.vfio_h;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class IoctlTest {
    static Stream<Arguments> ioctls() {
        return Stream.of(
                Arguments.of(new Ioctl("KVM_RUN", kvm_h.KVM_RUN()), 0, false),
                Arguments.of(new Ioctl("KVM_SIGNAL_MSI", kvm_h.KVM_SIGNAL_MSI()), kvm_msi.sizeof(), false),
                Arguments.of(new Ioctl("KVM_GET_REGS", kvm_x86_64_h.KVM_GET_REGS()), kvm_regs.sizeof(), true),
                Arguments.of(new Ioctl("KVM_GET_XSAVE", kvm_x86_64_h.KVM_GET_XSAVE()), kvm_xsave.sizeof(), true),
                Arguments.of(new Ioctl("KVM_CREATE_DEVICE", kvm_h.KVM_CREATE_DEVICE()), kvm_create_device.sizeof(),
                        true),
                Arguments.of(new Ioctl("VFIO_DEVICE_GET_INFO", vfio_h.VFIO_DEVICE_GET_INFO()), 0, false),
                Arguments.of(new Ioctl("IOMMU_IOAS_MAP", iommufd_h.IOMMU_IOAS_MAP()), 0, false));
    }

    @ParameterizedTest
    @MethodSource("ioctls")
    void theNumberSaysSizeAndDirection(Ioctl ioctl, long size, boolean kernelWrites) {
        assertThat(ioctl.size()).isEqualTo((int) size);
        assertThat(ioctl.kernelWrites()).isEqualTo(kernelWrites);
    }
}
