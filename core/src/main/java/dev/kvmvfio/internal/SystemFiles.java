package dev.kvmvfio.internal;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The text files, links and folders of sysfs, procfs and the like, through a {@link Kernel}. What is not there is an
 * empty answer, not an exception.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class SystemFiles {
    private SystemFiles() {
    }

    /**
     * Reads a file.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @return its text without white space at the ends; empty when there is no such file
     * @throws KernelException when it cannot be read
     */
    public static Optional<String> text(Kernel kernel, String path) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        return missing(path, "read", kernel.readFile(path, content))
                ? Optional.empty()
                : Optional.of(content.toString(StandardCharsets.UTF_8).strip());
    }

    /**
     * Writes a file that is there, in one call as sysfs wants it.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @param text what to write
     * @throws KernelException when it cannot be opened or refuses the text
     */
    public static void write(Kernel kernel, String path, String text) {
        int fd = kernel.open(path, system_h.O_WRONLY() | system_h.O_CLOEXEC());
        if (fd < 0) {
            boolean denied = Errno.EACCES.is(fd) || Errno.EPERM.is(fd);
            throw new KernelException("open", path, "O_WRONLY", fd, denied ? "Run it as root" : "");
        }
        try (Arena arena = Arena.ofConfined()) {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            long result = kernel.write(fd, arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes));
            if (result < 0) {
                throw new KernelException("write", path, text.strip(), result, "");
            }
        } finally {
            kernel.close(fd);
        }
    }

    /**
     * Reads a symbolic link.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @return what it says; empty when there is no such link, or something else in its place
     * @throws KernelException when it cannot be read
     */
    public static Optional<String> link(Kernel kernel, String path) {
        StringBuilder target = new StringBuilder();
        int result = kernel.readlink(path, target);
        return Errno.EINVAL.is(result) || missing(path, "readlink", result)
                ? Optional.empty()
                : Optional.of(target.toString());
    }

    /**
     * The last name of what a symbolic link says, by which sysfs names a driver or a group.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @return such as {@code vfio-pci}; empty when there is no such link
     * @throws KernelException when it cannot be read
     */
    public static Optional<String> linkName(Kernel kernel, String path) {
        return link(kernel, path).map(target -> target.substring(target.lastIndexOf("/") + 1));
    }

    /**
     * Lists a folder.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @return the names in it, sorted; empty when there is no such folder
     * @throws KernelException when it cannot be read
     */
    public static List<String> names(Kernel kernel, String path) {
        List<String> names = new ArrayList<>();
        return missing(path, "readdir", kernel.list(path, names)) ? List.of() : names.stream().sorted().toList();
    }

    /**
     * Whether there is a device node, a folder or a file.
     *
     * @param kernel where to look
     * @param path an absolute path
     * @return false also when it cannot be asked
     */
    public static boolean exists(Kernel kernel, String path) {
        return kernel.deviceNumber(path) >= 0;
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
