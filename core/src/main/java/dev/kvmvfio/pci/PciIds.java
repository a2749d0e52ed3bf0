package dev.kvmvfio.pci;

import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.kernel.Kernel;
import java.util.List;
import java.util.Optional;

/**
 * The names of vendors and devices, from the {@code pci.ids} that the host has installed (in Debian the package
 * pci.ids, elsewhere hwdata).
 *
 * <p><b>Thread-safety:</b> immutable.
 */
public final class PciIds {
    private static final List<String> PLACES = List.of("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids",
            "/usr/share/pci.ids");

    private final String text;

    private PciIds(String text) {
        this.text = "\n" + text;
    }

    /**
     * Reads the host's list.
     *
     * @param kernel the host
     * @return the list; one that knows no name when none is installed
     */
    public static PciIds load(Kernel kernel) {
        return new PciIds(PLACES.stream().filter(path -> SystemFiles.exists(kernel, path)).findFirst()
                .flatMap(path -> SystemFiles.text(kernel, path)).orElse(""));
    }

    /**
     * What a device is called.
     *
     * @param vendorId the vendor's number, 0 to 0xffff
     * @param deviceId the vendor's number for the device, 0 to 0xffff
     * @return the vendor's name and the device's, as far as they are known; empty when not even the vendor is
     */
    public Optional<String> name(int vendorId, int deviceId) {
        String vendor = String.format("\n%04x  ", vendorId);
        int start = text.indexOf(vendor);
        if (start < 0) {
            return Optional.empty();
        }
        String name = line(start + vendor.length());
        return Optional.of(deviceName(start + 1, String.format("\t%04x  ", deviceId)).map(device -> name + " " + device)
                .orElse(name));
    }

    /** A vendor's devices are the lines below it that begin with one tab; those with two are boards. */
    private Optional<String> deviceName(int vendorLine, String device) {
        int line = next(vendorLine);
        while (line < text.length() && (text.charAt(line) == '\t' || text.charAt(line) == '#')) {
            if (text.startsWith(device, line)) {
                return Optional.of(line(line + device.length()));
            }
            line = next(line);
        }
        return Optional.empty();
    }

    private int next(int line) {
        int end = text.indexOf('\n', line);
        return end < 0 ? text.length() : end + 1;
    }

    private String line(int start) {
        int end = text.indexOf('\n', start);
        return end < 0 ? text.substring(start) : text.substring(start, end);
    }
}
