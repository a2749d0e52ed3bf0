package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ELOOP;
import static dev.kvmvfio.kernel.Errno.ENOENT;
import static dev.kvmvfio.kernel.Errno.ENOTDIR;

import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** Folders, links, text files and device nodes, and how a path leads to one of them. */
public final class FileTree {
    private static final int MOST_LINKS = 40;

    private final Folder root = new Folder(new TreeMap<>());

    /** What a name in a folder stands for. */
    sealed interface Node {
    }

    /** Names and what they stand for. */
    record Folder(Map<String, Node> children) implements Node {
    }

    /** A symbolic link. */
    public record Link(String target) implements Node {
    }

    /** A file that is made up when it is opened; {@code store} is null for one that cannot be written. */
    public record Text(Supplier<byte[]> content, Consumer<String> store) implements Node {
    }

    /**
     * A character device; {@code permissions} are those that its driver asks for, and {@code opener} is what it does in
     * {@code open}.
     */
    public record DeviceNode(int major, int minor, int permissions, Supplier<OpenFile> opener) implements Node {
        private static final int MISC_MAJOR = 10;
        private static final int OWNER_ONLY = 0600;

        /** One that only its owner may use. */
        public DeviceNode(int major, int minor, Supplier<OpenFile> opener) {
            this(major, minor, OWNER_ONLY, opener);
        }

        /** One of those that have no major number of their own. */
        public static DeviceNode misc(int minor, int permissions, Supplier<OpenFile> opener) {
            return new DeviceNode(MISC_MAJOR, minor, permissions, opener);
        }
    }

    /** A node and the path that leads to it without links. */
    record Found(Node node, String path) {
    }

    /** A file that is only read; its content ends in a new line. */
    public static Text text(Supplier<String> content) {
        return new Text(() -> (content.get() + "\n").getBytes(StandardCharsets.UTF_8), null);
    }

    public static Text text(String content) {
        return text(() -> content);
    }

    /** A file that is only written. */
    public static Text store(Consumer<String> action) {
        return new Text(() -> new byte[0], action);
    }

    /** Adds a node and the folders on the way to it. */
    public void add(String path, Node node) {
        String[] names = path.substring(1).split("/");
        Folder folder = root;
        for (String name : Arrays.copyOf(names, names.length - 1)) {
            Node next = folder.children.computeIfAbsent(name, _ -> new Folder(new TreeMap<>()));
            if (!(next instanceof Folder found)) {
                throw new IllegalArgumentException(path + " cannot be there: " + name + " is no folder");
            }
            folder = found;
        }
        folder.children.put(names[names.length - 1], node);
    }

    public void addFolder(String path) {
        add(path, new Folder(new TreeMap<>()));
    }

    void remove(String path) {
        Found parent = find(path.substring(0, path.lastIndexOf('/')), true);
        ((Folder) parent.node).children.remove(path.substring(path.lastIndexOf('/') + 1));
    }

    boolean exists(String path) {
        try {
            find(path, false);
            return true;
        } catch (Refusal missing) {
            return false;
        }
    }

    /** Walks a path; {@code follow} says what to do with a link at its very end. */
    Found find(String path, boolean follow) {
        Refusal.when(!path.startsWith("/"), ENOENT);
        Deque<String> ahead = new ArrayDeque<>(Arrays.asList(path.split("/")));
        Deque<Found> behind = new ArrayDeque<>();
        behind.push(new Found(root, ""));
        int links = 0;
        while (!ahead.isEmpty()) {
            String name = ahead.pop();
            if (name.isEmpty() || name.equals(".")) {
                continue;
            }
            Found here = behind.peek();
            if (!(here.node instanceof Folder folder)) {
                throw Refusal.of(ENOTDIR);
            }
            if (name.equals("..")) {
                if (behind.size() > 1) {
                    behind.pop();
                }
                continue;
            }
            Node next = folder.children.get(name);
            Refusal.when(next == null, ENOENT);
            if (next instanceof Link link && (follow || !ahead.isEmpty())) {
                Refusal.when(++links > MOST_LINKS, ELOOP);
                pushAll(ahead, link.target.split("/"));
                if (link.target.startsWith("/")) {
                    behind.clear();
                    behind.push(new Found(root, ""));
                }
            } else {
                behind.push(new Found(next, here.path + "/" + name));
            }
        }
        return behind.peek();
    }

    private static void pushAll(Deque<String> ahead, String[] names) {
        for (int i = names.length - 1; i >= 0; i--) {
            ahead.push(names[i]);
        }
    }

    Folder folder(String path) {
        if (find(path, true).node instanceof Folder folder) {
            return folder;
        }
        throw Refusal.of(ENOTDIR);
    }

    String link(String path) {
        if (find(path, false).node instanceof Link link) {
            return link.target;
        }
        throw Refusal.of(EINVAL);
    }
}
