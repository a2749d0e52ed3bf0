package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.MsiVectors;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** As many vectors as a process usually has files for, on a thread with a small stack. */
@Tag("mock")
class ManyVectorsTest {
    private static final int VECTORS = 1000;
    private static final int SMALL_STACK = 256 << 10;

    @Test
    void areConnectedAndClosed() throws Exception {
        try (MockKernel mock = MockKernel.host(KernelProfile.V6_12)
                .device("0000:01:00.0",
                        device -> device.group(1).cdev("vfio0").bar64(0, 1 << 16).msix(VECTORS, 0, 0))
                .start()) {
            FutureTask<Integer> connect = new FutureTask<>(() -> connectAll(mock));
            Thread thread = new Thread(null, connect, "small", SMALL_STACK);
            thread.start();
            assertThat(connect.get(60, TimeUnit.SECONDS)).isEqualTo(VECTORS);
            assertThat(mock.leaks()).isEmpty();
        }
    }

    private static int connectAll(MockKernel mock) {
        try (Kvm kvm = Kvm.open(mock)) {
            Vm vm = kvm.createVm();
            vm.interrupts().createIrqchip();
            MsiVectors vectors = AttachedDevice.request(mock, PciAddress.parse("0000:01:00.0")).attach(vm).device()
                    .connectMsix(VECTORS);
            vectors.program(VECTORS - 1, 0xfee0_0000L, 0x41);
            return vectors.count();
        }
    }
}
