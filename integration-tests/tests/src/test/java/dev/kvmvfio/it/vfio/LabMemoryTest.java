package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.it.kvm.HeldFiles;
import dev.kvmvfio.it.lab.LabMachine;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;

/** Real devices behind a real IOMMU. */
@Tag("in-lab")
class LabMemoryTest extends MemoryContract {
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
    PciAddress edu() {
        return PciAddress.parse(LabMachine.EDU);
    }

    @Override
    PciAddress nvme() {
        return PciAddress.parse(LabMachine.NVME);
    }

    @Override
    void reserveHugePages(int count) {
        Path file = Path.of("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
        try {
            Files.writeString(file, Integer.toString(count));
            assertThat(file).hasContent(Integer.toString(count));
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    @Override
    void copy(AttachedDevice attached, long fromIova, long toIova) {
        Edu edu = new Edu(attached.device());
        edu.enableBusMaster();
        edu.read(fromIova, Edu.BUFFER_SIZE);
        edu.write(toIova, Edu.BUFFER_SIZE);
    }
}
