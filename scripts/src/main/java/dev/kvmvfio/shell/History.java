package dev.kvmvfio.shell;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** What was typed, from one start to the next, in a file that only its user reads. */
final class History {
    /** With these JShell begins what it remembers of each line. */
    static final String KEYS = "HISTORY_LINE_";
    private static final int MOST = 1000;
    private static final Path FILE = folder().resolve("kvm-vfio/shell-history");

    private History() {
    }

    private static Path folder() {
        String state = System.getenv("XDG_STATE_HOME");
        return state == null || state.isEmpty()
                ? Path.of(System.getProperty("user.home"), ".local/state")
                : Path.of(state);
    }

    /** A file that cannot be read is as none. */
    static void load(Map<String, String> settings) {
        try {
            List<String> lines = Files.readAllLines(FILE);
            for (int i = 0; i < lines.size(); i++) {
                settings.put(String.format(Locale.ROOT, "%s%06d", KEYS, i), lines.get(i));
            }
        } catch (IOException none) {
            return;
        }
    }

    static void save(Map<String, String> settings) {
        List<String> lines = new TreeMap<>(settings).entrySet().stream()
                .filter(entry -> entry.getKey().startsWith(KEYS))
                .map(entry -> entry.getValue().replaceAll("\\R", " ")).toList();
        try {
            Files.createDirectories(FILE.getParent());
            Path written = Files.createTempFile(FILE.getParent(), "history", ".new",
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
            Files.write(written, lines.subList(Math.max(0, lines.size() - MOST), lines.size()));
            Files.move(written, FILE, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException failure) {
            System.err.println("shell: the history was not saved: " + failure.getMessage());
        }
    }
}
