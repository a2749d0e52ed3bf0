package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.Kernel;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where this process runs, as the files that it sees tell: on a host, in a container, in a service of systemd. What
 * cannot be read tells nothing.
 *
 * <p><b>Thread-safety:</b> immutable.
 */
public final class Surroundings {
    private static final String POD = "/var/run/secrets/kubernetes.io";
    private static final List<String> CONTAINER_MARKS = List.of("/.dockerenv", "/run/.containerenv",
            "/run/systemd/container", "/run/host/container-manager", POD);
    private static final String SHELL = "/bin/sh";
    private static final String ALL_USERS = "0 0 4294967295";
    private static final Pattern SERVICE = Pattern.compile("(?m)^\\d+:(?:name=systemd)?:(.*/)([^/]+\\.service)$");
    private static final Pattern SELINUX_LABEL = Pattern.compile("\\w+:\\w+:\\w+(:.*)?");
    private static final Pattern APPARMOR_PROFILE = Pattern.compile("(.+) \\(enforce\\)");

    private final Kernel kernel;

    /**
     * Looks around.
     *
     * @param kernel through which this process sees its files
     */
    public Surroundings(Kernel kernel) {
        this.kernel = kernel;
    }

    private boolean exists(String path) {
        return SystemFiles.exists(kernel, path);
    }

    private String text(String path) {
        return SystemFiles.readable(kernel, path);
    }

    /** Where no engine left its mark, an image without a shell is no host. */
    public boolean isContainer() {
        return CONTAINER_MARKS.stream().anyMatch(this::exists) || !exists(SHELL);
    }

    /** A container of Kubernetes. */
    public boolean isPod() {
        return exists(POD);
    }

    /** One in which not every user of the host has a number. */
    public boolean isUserNamespace() {
        String map = text("/proc/self/uid_map").strip().replaceAll("\\s+", " ");
        return !map.isEmpty() && !map.equals(ALL_USERS);
    }

    /** The command that edits the service of systemd that this process is of; none in a container, which is one's own. */
    public Optional<String> editService() {
        if (isContainer()) {
            return Optional.empty();
        }
        Matcher service = SERVICE.matcher(text("/proc/self/cgroup"));
        return service.find()
                ? Optional.of((service.group(1).contains("/user@") ? "systemctl --user" : "sudo systemctl") + " edit "
                        + service.group(2))
                : Optional.empty();
    }

    /** What lets the service of systemd that this process is of use a node. */
    public Optional<String> allowInService(String node) {
        return editService().map(edit -> "Set DeviceAllow=" + node + " rw and PrivateDevices=no: " + edit);
    }

    /** The kernel has the driver of a node, so that a node that is missing was kept from this process. */
    public boolean hasDriver(String node) {
        return exists("/sys/class/misc/" + node.substring(node.lastIndexOf('/') + 1));
    }

    /** SELinux has a label for this process. */
    public boolean isSelinux() {
        return SELINUX_LABEL.matcher(label()).matches();
    }

    /** The profile of AppArmor that confines this process. */
    public Optional<String> apparmorProfile() {
        Matcher profile = APPARMOR_PROFILE.matcher(label());
        return profile.matches() ? Optional.of(profile.group(1)) : Optional.empty();
    }

    private String label() {
        return text("/proc/self/attr/current").replace("\0", "").strip();
    }

    /** The numbers in a line of this process's status, such as {@code Groups}. */
    public List<Long> status(String name) {
        Matcher line = Pattern.compile("(?m)^" + name + ":\\s*([\\d\\s&&[^\\n]]+)$").matcher(text("/proc/self/status"));
        return line.find()
                ? Arrays.stream(line.group(1).strip().split("\\s+")).map(Long::valueOf).toList()
                : List.of();
    }
}
