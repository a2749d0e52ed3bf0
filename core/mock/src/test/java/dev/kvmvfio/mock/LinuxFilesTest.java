package dev.kvmvfio.mock;

import dev.kvmvfio.kernel.Kernel;
import org.junit.jupiter.api.Tag;

/** Proves that what the mock is tested for is what the running kernel answers. */
@Tag("kvm")
class LinuxFilesTest extends FilesContract {
    @Override
    Kernel kernel() {
        return Kernel.linux();
    }
}
