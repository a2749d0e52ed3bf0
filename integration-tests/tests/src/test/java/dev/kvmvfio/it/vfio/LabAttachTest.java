package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.it.kvm.HeldFiles;
import dev.kvmvfio.it.lab.LabMachine;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;

@Tag("in-lab")
class LabAttachTest extends AttachContract {
    private List<String> heldBefore;

    @Override
    Kernel start() {
        heldBefore = HeldFiles.now();
        return Kernel.linux();
    }

    @Override
    void assertNothingLeft() {
        assertThat(HeldFiles.now()).isEqualTo(heldBefore);
    }

    @Override
    PciAddress address() {
        return PciAddress.parse(LabMachine.EDU);
    }

    @Override
    Stream<VfioInterface> interfaces() {
        return LabMachine.interfaces();
    }
}
