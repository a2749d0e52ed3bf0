package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.HostException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Optional;
import java.util.Set;

/**
 * A folder of small files that this program writes as root and believes later. Everybody may read them whatever the umask
 * is, and what another user owns or could have written is not believed.
 */
record HostFiles(Path folder) {
    private static final Set<PosixFilePermission> FOLDER = PosixFilePermissions.fromString("rwxr-xr-x");
    private static final Set<PosixFilePermission> FILE = PosixFilePermissions.fromString("rw-r--r--");
    private static final Set<PosixFilePermission> WRITABLE_BY_OTHERS = Set.of(PosixFilePermission.GROUP_WRITE,
            PosixFilePermission.OTHERS_WRITE);

    /** Replaces a file, so that nobody sees half of it. */
    void write(String name, String text) {
        try {
            if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
                Files.createDirectories(folder);
                Files.setPosixFilePermissions(folder, FOLDER);
            }
            requireOwn(folder);
            // In another form of name, which udev does not read.
            Path written = Files.createTempFile(folder, name, ".new", PosixFilePermissions.asFileAttribute(
                    PosixFilePermissions.fromString("rw-------")));
            Files.writeString(written, text);
            Files.setPosixFilePermissions(written, FILE);
            Files.move(written, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException failure) {
            throw new UncheckedIOException("cannot write " + folder.resolve(name) + ": " + failure.getMessage(),
                    failure);
        }
    }

    Optional<String> read(String name) {
        Path file = folder.resolve(name);
        try {
            if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
                return Optional.empty();
            }
            requireOwn(folder);
            requireOwn(file);
            return Optional.of(Files.readString(file, StandardCharsets.UTF_8));
        } catch (NoSuchFileException gone) {
            return Optional.empty();
        } catch (IOException failure) {
            throw new UncheckedIOException("cannot read " + file + ": " + failure.getMessage(), failure);
        }
    }

    /** Whether it was there. */
    boolean delete(String name) {
        try {
            return Files.deleteIfExists(folder.resolve(name));
        } catch (IOException failure) {
            throw new UncheckedIOException("cannot remove " + folder.resolve(name) + ": " + failure.getMessage(),
                    failure);
        }
    }

    private static void requireOwn(Path path) throws IOException {
        PosixFileAttributes seen = Files.readAttributes(path, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        boolean own = Files.getAttribute(path, "unix:uid", LinkOption.NOFOLLOW_LINKS)
                .equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid"));
        if (!own || seen.isSymbolicLink() || seen.permissions().stream().anyMatch(WRITABLE_BY_OTHERS::contains)) {
            throw new HostException(path + " could have been written by " + (own ? "others" : seen.owner().getName())
                    + ", so it is not believed", "Look at it, and remove it");
        }
    }
}
