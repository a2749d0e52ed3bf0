package dev.kvmvfio.it.vfio;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockHost;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;

@Tag("mock")
class MockRaceTest extends RaceContract {
    private static final int DEVICES = 8;

    private MockKernel mock;

    private static String address(int i) {
        return "0000:0" + (i + 1) + ":00.0";
    }

    @Override
    Kernel start() {
        MockHost host = MockKernel.host(KernelProfile.V6_12);
        for (int i = 0; i < DEVICES; i++) {
            int number = i;
            host.device(address(i), device -> device.edu().group(number).cdev("vfio" + number));
        }
        mock = host.start();
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
    List<PciAddress> devices() {
        return IntStream.range(0, DEVICES).mapToObj(MockRaceTest::address).map(PciAddress::parse).toList();
    }
}
