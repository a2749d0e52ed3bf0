package dev.kvmvfio.shell;

import dev.kvmvfio.vfio.Region;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/** Bytes of a device as people read them. */
final class Hexdump {
    private static final int ROW = 16;

    private Hexdump() {
    }

    static List<String> of(Region region, long offset, int length) {
        return IntStream.iterate(0, start -> start < length, start -> start + ROW)
                .mapToObj(start -> row(region, offset + start, Math.min(ROW, length - start))).toList();
    }

    /** The hexadecimal digits, then what is a letter. */
    private static String row(Region region, long offset, int length) {
        StringBuilder digits = new StringBuilder();
        StringBuilder letters = new StringBuilder();
        for (int i = 0; i < length; i++) {
            int octet = region.readByte(offset + i) & 0xff;
            digits.append(i == ROW / 2 ? "  " : " ").append(String.format(Locale.ROOT, "%02x", octet));
            letters.append(octet >= ' ' && octet < 0x7f ? (char) octet : '.');
        }
        return String.format(Locale.ROOT, "%08x %-49s  |%s|", offset, digits, letters);
    }
}
