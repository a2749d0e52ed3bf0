package user;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.Region;
import org.junit.jupiter.api.Test;

/** What README shows, in a program that has the library from a release. */
class AttachTest {
    private static final PciAddress ADDRESS = PciAddress.parse("0000:6a:01.0");

    @Test
    void attaches() {
        try (MockKernel host = MockKernel.host(KernelProfile.V6_12).device(ADDRESS.toString(),
                device -> device.group(26).cdev("vfio0").bar(0, 1 << 20)).start();
                Kvm kvm = Kvm.open(host);
                Vm vm = kvm.createVm();
                AttachedDevice attached = AttachedDevice.request(host, ADDRESS).attach(vm)) {
            assertEquals(1 << 20, attached.device().region(Region.BAR0).size());
        }
    }
}
