package dev.kvmvfio.mock.internal.system;

import dev.kvmvfio.bindings.system.statx;
import dev.kvmvfio.bindings.system.system_h;
import java.lang.foreign.MemorySegment;

/** Whose a file is, and who may use it; of a device node also which device it stands for. */
public record FileStatus(int user, int group, int mode, int major, int minor) {
    /** {@code STATX_TYPE}, {@code MODE}, {@code UID} and {@code GID}. */
    private static final int FILLED = 0x1b;
    private static final int READ_AND_WRITE = 6;
    private static final int OF_OWNER = 6;
    private static final int OF_GROUP = 3;

    /** A file of which only owner and permissions are known. */
    public FileStatus(int user, int group, int permissions) {
        this(user, group, permissions | system_h.S_IFREG(), 0, 0);
    }

    static FileStatus ofRoot(int permissions) {
        return new FileStatus(0, 0, permissions);
    }

    static FileStatus ofRootsFolder() {
        return new FileStatus(0, 0, 0755 | system_h.S_IFDIR(), 0, 0);
    }

    FileStatus of(FileTree.DeviceNode node) {
        return new FileStatus(user, group, mode & ~system_h.S_IFMT() | system_h.S_IFCHR(), node.major(), node.minor());
    }

    /** Whether a user, who is in the group of the same number, may read and write it. */
    public boolean permits(int other) {
        int bits = other == user ? mode >> OF_OWNER : other == group ? mode >> OF_GROUP : mode;
        return (bits & READ_AND_WRITE) == READ_AND_WRITE;
    }

    void writeTo(MemorySegment status) {
        status.fill((byte) 0);
        statx.stx_mask(status, FILLED);
        statx.stx_mode(status, (short) mode);
        statx.stx_uid(status, user);
        statx.stx_gid(status, group);
        statx.stx_rdev_major(status, major);
        statx.stx_rdev_minor(status, minor);
    }
}
