package dev.kvmvfio.internal;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import java.util.Optional;
import java.util.function.Function;

/** Opens the nodes below {@code /dev}, whose refusals have known causes. */
public final class DeviceNode {
    private DeviceNode() {
    }

    /**
     * {@code open(2)}, read and write. The remedy says what to do about an errno that means something for this node; it is
     * empty for the others.
     */
    public static FileDescriptor open(Kernel kernel, String path, Function<Errno, String> remedy) {
        int result = (int) Lifecycle.calling(() -> kernel.open(path, system_h.O_RDWR() | system_h.O_CLOEXEC()));
        if (result < 0) {
            Errno errno = Errno.of(-result);
            String known = Remedy.of(() -> inService(kernel, path, errno).orElseGet(() -> remedy.apply(errno)));
            throw new KernelException("open", path, "", result, known.isEmpty() ? commonRemedy(path, errno) : known);
        }
        return FileDescriptor.own(kernel, result, path);
    }

    /** A service of systemd with devices of its own is kept from nodes that are there. */
    private static Optional<String> inService(Kernel kernel, String path, Errno errno) {
        Surroundings surroundings = new Surroundings(kernel);
        return errno == Errno.EPERM || errno == Errno.ENOENT && surroundings.hasDriver(path)
                ? surroundings.allowInService(path)
                : Optional.empty();
    }

    private static String commonRemedy(String path, Errno errno) {
        return switch (errno) {
            case EACCES ->
                "Give the user access to the node, by its group (then log in again) or a udev rule; a container "
                        + "needs --group-add with the group's number on the host ($(stat -c %g " + path + "))";
            case EPERM -> "A device cgroup or a security module refuses it: a container needs --device " + path
                    + ", with read and write permission";
            default -> "";
        };
    }
}
