package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EACCES;
import static dev.kvmvfio.kernel.Errno.EISDIR;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Errno;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** The files of the host as a program sees them, and what it may do with them. */
public final class HostFiles {
    private static final int ACCESS_MODE = system_h.O_WRONLY() | system_h.O_RDWR();

    private final List<FileSource> sources;
    private final Map<String, FileStatus> owners;
    private final Map<String, Errno> permissions;
    private final Set<String> missing;
    private FileTree tree;

    /**
     * Collects the files.
     *
     * @param sources who shows files; of two at one path the later one counts
     * @param owners whose nodes are of another user or group than root, or have other permissions than usual
     * @param permissions how opening some fails, by their paths
     * @param missing the paths of those that this host has not
     */
    public HostFiles(List<FileSource> sources, Map<String, FileStatus> owners, Map<String, Errno> permissions,
            Set<String> missing) {
        this.sources = sources;
        this.owners = owners;
        this.permissions = permissions;
        this.missing = missing;
        missing.forEach(path -> require(path, complete()));
        refresh();
        Stream.of(owners, permissions).flatMap(named -> named.keySet().stream())
                .forEach(path -> require(path, tree));
    }

    private static void require(String path, FileTree files) {
        if (!files.exists(path)) {
            throw new IllegalArgumentException("the host has no " + path);
        }
    }

    FileTree tree() {
        return tree;
    }

    private FileTree complete() {
        FileTree files = new FileTree();
        sources.forEach(source -> source.addTo(files));
        return files;
    }

    private void refresh() {
        FileTree files = complete();
        missing.stream().filter(files::exists).forEach(files::remove);
        tree = files;
    }

    private FileTree.Found permitted(String path) {
        FileTree.Found found = tree.find(path, true);
        Errno refusal = permissions.get(found.path());
        if (refusal != null) {
            throw Refusal.of(refusal);
        }
        return found;
    }

    FileStatus status(String path) {
        FileTree.Found found = tree.find(path, true);
        FileStatus owner = owners.get(found.path());
        return switch (found.node()) {
            case FileTree.DeviceNode node when owner != null -> owner.of(node);
            case FileTree.DeviceNode node -> FileStatus.ofRoot(node.permissions()).of(node);
            case FileTree.Text text -> FileStatus.ofRoot(text.store() == null ? 0444 : 0644);
            case FileTree.Folder _ -> FileStatus.ofRootsFolder();
            case FileTree.Link _ -> throw new AssertionError("links are followed");
        };
    }

    int access(String path) {
        Refusal.when(permitted(path).node() instanceof FileTree.Text text && text.store() == null, EACCES);
        return 0;
    }

    OpenFile open(String path, int flags) {
        FileTree.Found found = permitted(path);
        boolean writes = (flags & ACCESS_MODE) != 0;
        return switch (found.node()) {
            case FileTree.DeviceNode node -> node.opener().get();
            case FileTree.Text text -> {
                Refusal.when(writes && text.store() == null, EACCES);
                // What is written may change which files there are.
                yield new TextFile(found.path(), text, this::refresh);
            }
            case FileTree.Folder _ -> {
                Refusal.when(writes, EISDIR);
                yield TextFile.folder(found.path());
            }
            case FileTree.Link _ -> throw new AssertionError("links are followed");
        };
    }
}
