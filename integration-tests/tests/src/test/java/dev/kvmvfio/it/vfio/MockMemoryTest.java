package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.HugePages;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.PciEndpoint;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.Region;
import java.lang.foreign.MemorySegment;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;

@Tag("mock")
class MockMemoryTest extends MemoryContract {
    private static final int COMMAND = 4;
    private static final short BUS_MASTER = 4;

    private MockKernel mock;

    @Override
    Kernel start() {
        mock = MockKernel.host(KernelProfile.V6_12)
                .device("0000:00:05.0", d -> d.edu().group(5).cdev("vfio5"))
                .device("0000:00:08.0", d -> d.group(8).cdev("vfio8").bar64(0, 1 << 14).msix(65, 0, 1 << 13))
                .hugePages(HugePages.SIZE_2M, 2).start();
        return mock;
    }

    @Override
    void assertNothingLeft() {
        mock.close();
    }

    @Override
    Stream<VfioInterface> interfaces() {
        return Stream.of(VfioInterface.values());
    }

    @Override
    PciAddress edu() {
        return PciAddress.parse("0000:00:05.0");
    }

    @Override
    PciAddress nvme() {
        return PciAddress.parse("0000:00:08.0");
    }

    /** The host has them from the start. */
    @Override
    void reserveHugePages(int count) {
    }

    @Override
    void copy(AttachedDevice edu, long fromIova, long toIova) {
        edu.device().region(Region.CONFIG).writeShort(COMMAND, BUS_MASTER);
        PciEndpoint endpoint = mock.endpoint(edu().toString());
        MemorySegment buffer = MemorySegment.ofArray(new byte[(int) PAGE]);
        assertThat(endpoint.read(fromIova, buffer)).isTrue();
        endpoint.write(toIova, buffer);
    }
}
