package dev.kvmvfio.mock;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kvmvfio.kernel.Kernel;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;

/** Proves that what the mock is tested for is what the running kernel answers. */
@Tag("kvm")
class LinuxFilesTest extends FilesContract {
    @BeforeAll
    static void requireKvm() {
        assumeTrue(Files.isWritable(Path.of("/dev/kvm")), "/dev/kvm cannot be used");
    }

    @Override
    Kernel kernel() {
        return Kernel.linux();
    }
}
