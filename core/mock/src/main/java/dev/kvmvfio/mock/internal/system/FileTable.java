package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EBADF;
import static dev.kvmvfio.kernel.Errno.EMFILE;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** The process's file descriptors. The lowest free number is always the next one, as in a real kernel. */
public final class FileTable {
    private final List<OpenFile> files = new ArrayList<>();
    private final Map<Integer, Origin> origins = new HashMap<>();
    private final int limit;

    FileTable(int limit) {
        this.limit = limit;
        for (String name : List.of("standard input", "standard output", "standard error")) {
            files.add(new StandardFile(name));
        }
    }

    /** Takes over the caller's reference, also when there is no number left. */
    public int install(OpenFile file) {
        int fd = files.indexOf(null);
        if (fd < 0) {
            fd = files.size();
            if (fd >= limit) {
                file.put();
                throw Refusal.of(EMFILE);
            }
            files.add(file);
        } else {
            files.set(fd, file);
        }
        origins.put(fd, Origin.ofThisCall());
        return fd;
    }

    public boolean has(int fd) {
        return fd >= 0 && fd < files.size() && files.get(fd) != null;
    }

    public OpenFile get(int fd) {
        Refusal.when(!has(fd), EBADF);
        return files.get(fd);
    }

    void close(int fd) {
        OpenFile file = get(fd);
        files.set(fd, null);
        file.put();
    }

    /** What a program would leak if it ended its work now. */
    SortedMap<Integer, OpenFile> leaked() {
        SortedMap<Integer, OpenFile> open = new TreeMap<>();
        for (int fd = 0; fd < files.size(); fd++) {
            if (files.get(fd) != null && !files.get(fd).isStandard()) {
                open.put(fd, files.get(fd));
            }
        }
        return open;
    }

    /** Where an open file was opened. */
    Origin origin(int fd) {
        return origins.get(fd);
    }

    private static final class StandardFile extends OpenFile {
        StandardFile(String name) {
            super(name);
        }

        @Override
        boolean isStandard() {
            return true;
        }
    }
}
