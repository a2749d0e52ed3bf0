package dev.kvmvfio.it;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.passthrough.Passthrough;
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
@Tag("guest")
class GuestMemoryTest extends MemoryContract {
    private List<String> heldBefore;

    @Override
    Kernel start() {
        heldBefore = GuestHost.held();
        return Kernel.linux();
    }

    @Override
    void assertNothingLeft() {
        assertThat(GuestHost.held()).isEqualTo(heldBefore);
    }

    @Override
    Stream<VfioInterface> interfaces() {
        return GuestHost.interfaces();
    }

    @Override
    PciAddress edu() {
        return PciAddress.parse(GuestHost.EDU);
    }

    @Override
    PciAddress nvme() {
        return PciAddress.parse(GuestHost.NVME);
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
    void copy(Passthrough attached, long fromIova, long toIova) {
        Edu edu = new Edu(attached.device());
        edu.enableBusMaster();
        edu.read(fromIova, Edu.BUFFER_SIZE);
        edu.write(toIova, Edu.BUFFER_SIZE);
    }
}
