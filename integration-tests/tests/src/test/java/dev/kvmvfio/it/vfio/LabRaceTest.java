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

/** Real devices behind a real IOMMU. */
@Tag("in-lab")
class LabRaceTest extends RaceContract {
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
    Stream<VfioInterface> interfaces() {
        return LabMachine.interfaces();
    }

    @Override
    List<PciAddress> devices() {
        return Stream.of(LabMachine.EDU, LabMachine.NVME, LabMachine.NETWORK).map(PciAddress::parse).toList();
    }
}
