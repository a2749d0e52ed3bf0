package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;

@Tag("mock")
class MockAttachTest extends AttachContract {
    private MockKernel mock;

    @Override
    Kernel start() {
        mock = MockKernel.example();
        return mock;
    }

    @Override
    void assertNothingLeft() {
        assertThat(mock.leaks()).isEmpty();
    }

    @Override
    PciAddress address() {
        return PciAddress.parse("0000:6a:01.0");
    }

    @Override
    Stream<VfioInterface> interfaces() {
        return Stream.of(VfioInterface.values());
    }
}
