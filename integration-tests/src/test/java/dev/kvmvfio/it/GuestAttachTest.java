package dev.kvmvfio.it;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;

@Tag("guest")
class GuestAttachTest extends AttachContract {
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
    PciAddress address() {
        return PciAddress.parse(GuestHost.EDU);
    }

    @Override
    Stream<VfioInterface> interfaces() {
        return GuestHost.interfaces();
    }
}
