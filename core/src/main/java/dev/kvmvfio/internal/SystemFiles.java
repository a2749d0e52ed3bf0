package dev.kvmvfio.internal;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/**
 * The text files, links and folders of sysfs, procfs and the like, through a {@link Kernel}. What is not there is an
 * empty answer, not an exception.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class SystemFiles {
    /** More than any file that is read to its end. */
    private static final int LONGEST = 8 << 20;
    private static final int BEGINNING = 1 << 20;
    /** What a piece counts at least, so that a file that comes in crumbs ends as well. */
    private static final int CRUMB = 256;
    /** More than any line of procfs, where the paths in it have 4096 bytes each. */
    private static final int LONGEST_LINE = 1 << 16;
    private static final int QUOTED = 60;

    private SystemFiles() {
    }

    /** The content of a file, up to a size. */
    private static final class Content extends ByteArrayOutputStream {
        private final String path;
        private int room;

        Content(String path, int room) {
            this.path = path;
            this.room = room;
        }

        @Override
        public synchronized void write(byte[] bytes, int offset, int length) {
            super.write(bytes, offset, Math.max(0, Math.min(length, room)));
            room -= Math.max(length, CRUMB);
            if (room < 0) {
                throw new AnswerException("read", path, "text without an end: " + count + " bytes already");
            }
        }
    }

    /**
     * Reads a file.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @return its text without white space at the ends; empty when there is no such file
     * @throws KernelException when it cannot be read
     * @throws AnswerException when it has no end
     */
    public static Optional<String> text(Kernel kernel, String path) {
        Content content = new Content(path, LONGEST);
        return missing(path, "read", kernel.readFile(path, content))
                ? Optional.empty()
                : Optional.of(content.toString(StandardCharsets.UTF_8).strip());
    }

    /**
     * Reads a compressed file.
     *
     * @param kernel where it is
     * @param path an absolute path of a file that gzip made
     * @return its text; empty when there is no such file, or when it cannot be read
     */
    public static String gzipped(Kernel kernel, String path) {
        Content content = new Content(path, LONGEST);
        if (kernel.readFile(path, content) < 0) {
            return "";
        }
        try (GZIPInputStream text = new GZIPInputStream(new ByteArrayInputStream(content.toByteArray()))) {
            return new String(text.readNBytes(LONGEST), StandardCharsets.UTF_8);
        } catch (IOException notGzip) {
            return "";
        }
    }

    /**
     * Reads a file that may be kept from this user.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @return its text without white space at the ends; empty when there is no such file, or when it cannot be read
     */
    public static String readable(Kernel kernel, String path) {
        return Remedy.of(() -> text(kernel, path).orElse(""));
    }

    /**
     * Reads the beginning of a file that may be of any length.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @return its first megabyte; empty when there is no such file
     * @throws KernelException when it cannot be read
     */
    public static String beginning(Kernel kernel, String path) {
        Content content = new Content(path, BEGINNING);
        try {
            missing(path, "read", kernel.readFile(path, content));
        } catch (AnswerException longer) {
            // What follows was not asked for.
        }
        return content.toString(StandardCharsets.UTF_8);
    }

    /**
     * Reads a file line by line.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @return its lines; none when there is no such file
     * @throws KernelException when it cannot be read
     * @throws AnswerException when it, or the line that is to be told, has no end
     */
    public static Stream<String> lines(Kernel kernel, String path) {
        return text(kernel, path).orElse("").lines().map(line -> requireEnd(path, line));
    }

    private static String requireEnd(String path, String line) {
        if (line.length() > LONGEST_LINE) {
            throw new AnswerException("read", path, "a line of " + line.length() + " bytes, " + quoted(line));
        }
        return line;
    }

    /**
     * Reads a file that has one number.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @param most the largest number that it can be
     * @return the number; empty when there is no such file
     * @throws KernelException when it cannot be read
     * @throws AnswerException when it has something else
     */
    public static Optional<Long> number(Kernel kernel, String path, long most) {
        return text(kernel, path).map(text -> number("read", path, text, most));
    }

    /**
     * The number in something that the kernel says.
     *
     * @param operation how it was asked, such as {@code readlink}
     * @param path what was asked
     * @param text what it says, decimal or with 0x before it
     * @param most the largest number that it can be
     * @return 0 to most
     * @throws AnswerException when it is something else
     */
    public static long number(String operation, String path, String text, long most) {
        long number = parse(operation, path, text, "number", Long::decode);
        if (number < 0 || number > most) {
            throw new AnswerException(operation, path, quoted(text) + ", which is not 0 to " + most);
        }
        return number;
    }

    /**
     * What something means that the kernel says.
     *
     * @param <T> what it means
     * @param operation how it was asked, such as {@code readlink}
     * @param path what was asked
     * @param text what it says
     * @param kind what it should be, such as {@code PCI address}
     * @param parser throws an {@link IllegalArgumentException} for anything else
     * @return what it means
     * @throws AnswerException when it is anything else
     */
    public static <T> T parse(String operation, String path, String text, String kind, Function<String, T> parser) {
        try {
            return parser.apply(text);
        } catch (IllegalArgumentException other) {
            throw new AnswerException(operation, path, quoted(text) + ", which is no " + kind);
        }
    }

    private static String quoted(String text) {
        String start = text.length() > QUOTED ? text.substring(0, QUOTED) + "…" : text;
        return '"' + start.replaceAll("\\p{Cntrl}", "?") + '"';
    }

    /**
     * Writes a file that is there, in one call as sysfs wants it.
     *
     * @param kernel where it is
     * @param path an absolute path
     * @param text what to write
     * @throws KernelException when it cannot be opened or refuses the text
     * @throws AnswerException when it takes a part of the text
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
            if (result != bytes.length) {
                throw new AnswerException("write", path, result + " for the " + bytes.length + " bytes of "
                        + quoted(text.strip()));
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
