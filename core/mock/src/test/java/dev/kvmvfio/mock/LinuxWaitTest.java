package dev.kvmvfio.mock;

import dev.kvmvfio.kernel.Kernel;

/** The running Linux. */
class LinuxWaitTest extends WaitContract {
    @Override
    Kernel kernel() {
        return Kernel.linux();
    }
}
