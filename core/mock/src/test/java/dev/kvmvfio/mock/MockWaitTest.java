package dev.kvmvfio.mock;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.model.KernelProfile;

class MockWaitTest extends WaitContract {
    @Override
    Kernel kernel() {
        return MockKernel.host(KernelProfile.V6_12).start();
    }
}
