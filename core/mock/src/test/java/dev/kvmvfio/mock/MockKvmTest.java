package dev.kvmvfio.mock;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.model.KernelProfile;

class MockKvmTest extends KvmContract {
    @Override
    Kernel kernel() {
        return MockKernel.host(KernelProfile.V7_2).start();
    }
}
