package dev.kvmvfio.mock;

import dev.kvmvfio.kernel.Kernel;

class MockFilesTest extends FilesContract {
    @Override
    Kernel kernel() {
        return MockKernel.host(KernelProfile.V6_12).start();
    }
}
