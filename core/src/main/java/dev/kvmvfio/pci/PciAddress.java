package dev.kvmvfio.pci;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a PCI device is: {@code 0000:6a:01.0}.
 *
 * @param domain 0 to 0xffffffff; Linux numbers some bridges' domains from 0x10000
 * @param bus 0 to 0xff
 * @param device 0 to 0x1f
 * @param function 0 to 7
 */
public record PciAddress(int domain, int bus, int device, int function) implements Comparable<PciAddress> {
    private static final Pattern FORM = Pattern
            .compile("(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([01][0-9a-fA-F])\\.([0-7])");

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException when a part is out of its range
     */
    public PciAddress {
        if ((bus | 0xff) != 0xff || (device | 0x1f) != 0x1f || (function | 7) != 7) {
            throw new IllegalArgumentException(
                    String.format("no PCI address: bus 0x%x, device 0x%x, function 0x%x", bus,
                            device, function));
        }
    }

    /**
     * Reads an address as people write it.
     *
     * @param text {@code domain:bus:device.function} in hexadecimal; without a domain, domain 0 is meant
     * @return the address
     * @throws IllegalArgumentException when the text is something else
     */
    public static PciAddress parse(String text) {
        Matcher matcher = FORM.matcher(text);
        if (!matcher.matches()) {
            throw new IllegalArgumentException(
                    "\"" + text + "\" is no PCI address: write it like 0000:6a:01.0, as lspci -D does");
        }
        String domain = matcher.group(1);
        return new PciAddress(domain == null ? 0 : Integer.parseUnsignedInt(domain, 16), hex(matcher.group(2)),
                hex(matcher.group(3)), hex(matcher.group(4)));
    }

    /** Whether a name is one, and not that of a device of another bus. */
    static boolean isAddress(String name) {
        return FORM.matcher(name).matches();
    }

    private static int hex(String digits) {
        return Integer.parseInt(digits, 16);
    }

    @Override
    public int compareTo(PciAddress other) {
        int byDomain = Integer.compareUnsigned(domain, other.domain);
        return byDomain != 0 ? byDomain : Integer.compare(inDomain(), other.inDomain());
    }

    private int inDomain() {
        return bus << 8 | device << 3 | function;
    }

    @Override
    public String toString() {
        return String.format("%04x:%02x:%02x.%x", domain, bus, device, function);
    }
}
