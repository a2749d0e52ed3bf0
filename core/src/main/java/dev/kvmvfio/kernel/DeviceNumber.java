package dev.kvmvfio.kernel;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The number of a device, by which the kernel knows it: what a node below {@code /dev} stands for.
 *
 * @param major the driver's number
 * @param minor the number of the device among the driver's
 */
public record DeviceNumber(int major, int minor) {
    /** Linux has 12 and 20 bits for the two. */
    private static final Pattern FORM = Pattern.compile("(\\d{1,9}):(\\d{1,9})");

    /**
     * What {@link Kernel#deviceNumber} has answered.
     *
     * @param packed {@code major << 32 | minor}
     * @return the number
     */
    public static DeviceNumber of(long packed) {
        return new DeviceNumber((int) (packed >>> 32), (int) packed);
    }

    /**
     * Reads a number as sysfs writes it.
     *
     * @param text such as {@code 10:232}
     * @return the number
     * @throws IllegalArgumentException when the text is no device number
     */
    public static DeviceNumber parse(String text) {
        Matcher parts = FORM.matcher(text);
        if (!parts.matches()) {
            throw new IllegalArgumentException("\"" + text + "\" is no device number such as 10:232");
        }
        return new DeviceNumber(Integer.parseInt(parts.group(1)), Integer.parseInt(parts.group(2)));
    }

    @Override
    public String toString() {
        return Integer.toUnsignedString(major) + ":" + minor;
    }
}
