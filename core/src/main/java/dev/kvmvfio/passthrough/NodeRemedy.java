package dev.kvmvfio.passthrough;

import dev.kvmvfio.bindings.system.statx;
import dev.kvmvfio.internal.Surroundings;
import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/** What mends that a node of {@code /dev} cannot be opened: by whose it is, and by where this process runs. */
final class NodeRemedy {
    private static final int READ_AND_WRITE = 6;
    private static final int PERMISSIONS = 07777;
    private static final int OF_OWNER = 6;
    private static final int OF_GROUP = 3;
    /** What a user namespace shows in place of a group that it has not. */
    private static final int NO_GROUP = 65534;

    private final Kernel kernel;
    private final Surroundings surroundings;

    NodeRemedy(Kernel kernel) {
        this.kernel = kernel;
        this.surroundings = new Surroundings(kernel);
    }

    /** Whose a node is, and who may use it. */
    private record Owner(int user, int group, int mode) {
        boolean permits(int shift) {
            return (mode >> shift & READ_AND_WRITE) == READ_AND_WRITE;
        }

        boolean permits(List<Long> users, List<Long> groups) {
            return permits(users.contains((long) user) ? OF_OWNER : groups.contains((long) group) ? OF_GROUP : 0);
        }

        boolean hasGroup() {
            return permits(OF_GROUP) && group != 0;
        }
    }

    /**
     * The remedy for an open that failed.
     *
     * @param withoutDriver what mends it when the kernel has no driver for the node
     */
    String of(String path, Errno errno, String withoutDriver) {
        return switch (errno) {
            case ENOENT -> surroundings.hasDriver(path) ? handIn(path) : withoutDriver;
            case EPERM -> handIn(path);
            case EACCES -> permit(path);
            default -> "";
        };
    }

    /** What a reason says more of a node that is kept from this process: its owner, group and mode. */
    String whose(String path) {
        return owner(path).map(owner -> String.format(Locale.ROOT, "; it is %s:%s, mode %04o",
                owner.user == 0 ? "root" : owner.user,
                entry("/etc/group", owner.group).map(List::getFirst).orElse(Integer.toString(owner.group)),
                owner.mode & PERMISSIONS)).orElse("");
    }

    private String handIn(String path) {
        if (surroundings.isPod()) {
            return "Let the pod ask a device plugin for " + path + ", in its resources.limits";
        }
        return surroundings.allowInService(path).orElse("Start the container with --device " + path);
    }

    private String permit(String path) {
        Optional<Owner> owner = owner(path);
        if (owner.filter(this::permits).isPresent()) {
            return refusedByModule(path);
        }
        return surroundings.isContainer() ? permitInContainer(path, owner) : permitOnHost(path, owner);
    }

    private boolean permits(Owner owner) {
        List<Long> users = surroundings.status("Uid");
        return users.contains(0L) && !surroundings.isUserNamespace()
                || owner.permits(users, groups());
    }

    private List<Long> groups() {
        return Stream.of("Gid", "Groups").flatMap(line -> surroundings.status(line).stream())
                .toList();
    }

    private Optional<Owner> owner(String path) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment status = statx.allocate(arena);
            return kernel.stat(path, status) < 0
                    ? Optional.empty()
                    : Optional.of(new Owner(statx.stx_uid(status), statx.stx_gid(status), statx.stx_mode(status)));
        }
    }

    private String refusedByModule(String path) {
        if (surroundings.isSelinux()) {
            return surroundings.isContainer()
                    ? "On the host: sudo setsebool -P container_use_devices on"
                    : "sudo ausearch -m avc -ts recent  # what SELinux refused";
        }
        return surroundings.apparmorProfile()
                .map(profile -> "Add the line " + path + " rw, to the profile " + profile + " of AppArmor")
                .orElse("findmnt -T " + path + "  # nodev forbids devices; otherwise ask the security module's log");
    }

    private String permitInContainer(String path, Optional<Owner> owner) {
        if (owner.isEmpty()) {
            return "Start the container with --group-add and the number of the node's group";
        }
        int group = owner.get().group;
        if (group == NO_GROUP) {
            return "Let a user of the node's group start the container with --group-add keep-groups";
        }
        if (!owner.get().permits(OF_GROUP)) {
            return "On the host give " + path + " a group that may read and write it, and start the container with "
                    + "--group-add and its number";
        }
        return surroundings.isPod()
                ? "Set supplementalGroups: [" + group + "] in the pod's securityContext"
                : "Start the container with --group-add " + group;
    }

    private String permitOnHost(String path, Optional<Owner> owner) {
        String chown = "sudo chown \"$USER\" " + path;
        if (owner.isEmpty() || !owner.get().hasGroup()) {
            return chown;
        }
        int group = owner.get().group;
        return entry("/etc/group", group).map(this::join)
                .or(() -> entry("/usr/lib/group", group).map(entry -> "grep ^" + entry.getFirst()
                        + ": /usr/lib/group | sudo tee -a /etc/group && " + join(entry)))
                .orElse(chown);
    }

    /** The name, password, number and members of a group. */
    private Optional<List<String>> entry(String file, int group) {
        return SystemFiles.readable(kernel, file).lines()
                .map(line -> List.of(line.split(":", -1)))
                .filter(entry -> entry.size() == 4 && entry.get(2).equals(Integer.toString(group))).findFirst();
    }

    private String join(List<String> group) {
        String name = group.getFirst();
        boolean member = userName().filter(user -> Arrays.asList(group.getLast().split(",")).contains(user))
                .isPresent();
        return (member ? "" : "sudo usermod -aG " + name + " \"$USER\" && ") + "newgrp " + name;
    }

    private Optional<String> userName() {
        List<Long> users = surroundings.status("Uid");
        return users.isEmpty()
                ? Optional.empty()
                : SystemFiles.readable(kernel, "/etc/passwd").lines()
                        .map(line -> line.split(":"))
                        .filter(entry -> entry.length > 2 && entry[2].equals(users.getFirst().toString()))
                        .map(entry -> entry[0]).findFirst();
    }
}
