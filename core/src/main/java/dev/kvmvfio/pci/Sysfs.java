package dev.kvmvfio.pci;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Reads the kernel's small text files, links and folders. What is not there is an empty answer, not an exception. */
final class Sysfs {
    private static final int LARGEST = 4096;

    private Sysfs() {
    }

    static Optional<String> text(Kernel kernel, String path) {
        int fd = kernel.open(path, system_h.O_RDONLY() | system_h.O_CLOEXEC());
        if (missing(path, "open", fd)) {
            return Optional.empty();
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(LARGEST);
            long length = kernel.read(fd, buffer);
            if (missing(path, "read", length)) {
                return Optional.empty();
            }
            byte[] bytes = buffer.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE);
            return Optional.of(new String(bytes, StandardCharsets.US_ASCII).strip());
        } finally {
            kernel.close(fd);
        }
    }

    /** The last name of what a link points to. */
    static Optional<String> linkName(Kernel kernel, String path) {
        StringBuilder target = new StringBuilder();
        return missing(path, "readlink", kernel.readlink(path, target))
                ? Optional.empty()
                : Optional.of(target.substring(target.lastIndexOf("/") + 1));
    }

    static List<String> names(Kernel kernel, String path) {
        List<String> names = new ArrayList<>();
        return missing(path, "readdir", kernel.list(path, names)) ? List.of() : names.stream().sorted().toList();
    }

    private static boolean missing(String path, String operation, long result) {
        if (Errno.ENOENT.is(result) || Errno.ENOTDIR.is(result) || Errno.ENODEV.is(result)) {
            return true;
        }
        if (result < 0) {
            throw new KernelException(operation, path, result);
        }
        return false;
    }
}
