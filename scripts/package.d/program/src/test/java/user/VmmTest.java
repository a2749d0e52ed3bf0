package user;

import dev.kvmvfio.junit.MockKernelExtension;
import dev.kvmvfio.junit.RequiresKvm;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.pci.PciAddress;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

class VmmTest {
    @RegisterExtension
    static final MockKernelExtension HOST = MockKernelExtension.of(
            () -> MockKernel.host(KernelProfile.V6_12)
                    .device("0000:6a:01.0", device -> device.group(26)));

    @Test
    void attaches(MockKernel host) {
        PciAddress address = PciAddress.parse("0000:6a:01.0");
        try (Kvm kvm = Kvm.open(host); Vm vm = kvm.createVm()) {
            AttachedDevice.request(host, address).attach(vm);
        }
    }   // fails when anything is still open there

    @Test
    @RequiresKvm
    void hasAVcpu() {
        try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm()) {
            vm.createVcpu(0);
        }
    }
}
