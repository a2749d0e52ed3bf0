package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.model.KernelProfile;
import org.junit.jupiter.api.Test;

class MockFilesTest extends FilesContract {
    @Override
    Kernel kernel() {
        return MockKernel.host(KernelProfile.V6_12).start();
    }

    @Test
    void anInterruptedReadEnds() {
        try (MockKernel kernel = MockKernel.host(KernelProfile.V6_12).start()) {
            int eventFd = kernel.eventfd(0, 0);
            Thread.currentThread().interrupt();
            assertThat(errno(kernel.read(eventFd, new Calls(kernel).bytes(8)))).isEqualTo(Errno.EINTR);
            assertThat(Thread.interrupted()).isTrue();
            kernel.close(eventFd);
        }
    }
}
