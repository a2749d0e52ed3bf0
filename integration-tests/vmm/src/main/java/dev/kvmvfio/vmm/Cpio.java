package dev.kvmvfio.vmm;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * The format of Linux's initial RAM disk (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst). The
 * kernel unpacks several archives one after the other, so a file can be added to one by appending another.
 */
final class Cpio {
    private static final String MAGIC = "070701";
    private static final int FILE = 0100755;
    private static final String END = "TRAILER!!!";
    private static final int ALIGNMENT = 4;

    private Cpio() {
    }

    /** An archive that is followed by one with a single executable file. */
    static byte[] append(byte[] archive, String name, String content) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(archive);
        align(out);
        add(out, name, FILE, content.getBytes(StandardCharsets.UTF_8));
        add(out, END, 0, new byte[0]);
        return out.toByteArray();
    }

    private static void add(ByteArrayOutputStream out, String name, int mode, byte[] content) {
        // Inode, mode, owner, group, links, time, size, the numbers of two devices, length of the name, checksum.
        int[] fields = {0, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length() + 1, 0};
        String header = Arrays.stream(fields).mapToObj(field -> String.format("%08X", field))
                .collect(Collectors.joining("", MAGIC, name + "\0"));
        out.writeBytes(header.getBytes(StandardCharsets.US_ASCII));
        align(out);
        out.writeBytes(content);
        align(out);
    }

    private static void align(ByteArrayOutputStream out) {
        while (out.size() % ALIGNMENT != 0) {
            out.write(0);
        }
    }
}
