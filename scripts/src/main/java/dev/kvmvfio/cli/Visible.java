package dev.kvmvfio.cli;

import java.util.Locale;

/**
 * Text of others for a terminal: names of processes, devices and mount points can hold what moves the cursor, forges a
 * line or turns the direction of writing.
 */
public final class Visible {
    private Visible() {
    }

    /**
     * Shows what cannot be seen.
     *
     * @param text anybody's
     * @return the same, with each character that controls something as JSON writes it, such as <code>&#92;u001b</code>
     */
    public static String of(String text) {
        StringBuilder shown = new StringBuilder(text.length());
        text.codePoints().forEach(point -> {
            if (isSeen(point)) {
                shown.appendCodePoint(point);
            } else {
                for (char half : Character.toChars(point)) {
                    shown.append(String.format(Locale.ROOT, "\\u%04x", (int) half));
                }
            }
        });
        return shown.toString();
    }

    private static boolean isSeen(int point) {
        return switch (Character.getType(point)) {
            case Character.CONTROL, Character.FORMAT, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR,
                    Character.SURROGATE ->
                false;
            default -> true;
        };
    }
}
