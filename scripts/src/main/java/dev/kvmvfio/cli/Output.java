package dev.kvmvfio.cli;

import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Collectors;

/**
 * What all that the program tells passes through, in UTF-8: what controls a terminal is made visible, and where a person
 * looks there are columns and colours.
 */
final class Output {
    /** How a person sees it. */
    enum Style {
        PLAIN(""), GOOD("32"), WARNING("33"), BAD("31");

        private final String code;

        Style(String code) {
            this.code = code;
        }
    }

    /** A piece of a line. */
    record Cell(String text, Style style) {
    }

    private static final int LEAST_ROOM = 20;

    private final PrintWriter writer;
    private final OptionalInt columns;
    private final boolean coloured;

    private Output(Writer writer, OptionalInt columns, boolean coloured) {
        this.writer = new PrintWriter(writer, true);
        this.columns = columns;
        this.coloured = coloured;
    }

    /** What a file takes. */
    static Output to(OutputStream stream, OptionalInt columns) {
        String noColour = System.getenv("NO_COLOR");
        return new Output(new PrintWriter(stream, true, StandardCharsets.UTF_8), columns,
                columns.isPresent() && (noColour == null || noColour.isEmpty()));
    }

    static Output to(Writer writer) {
        return new Output(writer, OptionalInt.empty(), false);
    }

    static Output to(Writer writer, int columns) {
        return new Output(writer, OptionalInt.of(columns), true);
    }

    /** How wide the terminal is; empty when this is none. */
    OptionalInt columns() {
        return columns;
    }

    /** One line, whatever is in the text. */
    void line(String text) {
        writer.println(Visible.of(text).stripTrailing());
    }

    void line(List<Cell> cells) {
        writer.println(cells.stream().map(this::painted).collect(Collectors.joining()).stripTrailing());
    }

    private String painted(Cell cell) {
        String text = Visible.of(cell.text());
        return coloured && cell.style() != Style.PLAIN
                ? "\u001b[" + cell.style().code + "m" + text + "\u001b[m"
                : text;
    }

    /** A line whose text goes on below itself, word by word, where the terminal ends. */
    void wrapped(List<Cell> start, String text) {
        int indent = start.stream().mapToInt(cell -> cell.text().length()).sum();
        int room = columns.stream().map(width -> Math.max(LEAST_ROOM, width - indent)).findFirst()
                .orElse(Integer.MAX_VALUE);
        List<Cell> line = new ArrayList<>(start);
        StringBuilder words = new StringBuilder();
        for (String word : text.split(" ")) {
            if (!words.isEmpty() && words.length() + 1 + word.length() > room) {
                line.add(new Cell(words.toString(), Style.PLAIN));
                line(line);
                line = new ArrayList<>(List.of(new Cell(" ".repeat(indent), Style.PLAIN)));
                words.setLength(0);
            }
            words.append(words.isEmpty() ? "" : " ").append(word);
        }
        line.add(new Cell(words.toString(), Style.PLAIN));
        line(line);
    }

    /** Several lines. */
    void lines(String text) {
        text.lines().forEach(this::line);
    }

    /** Whether something of it could not be written, as on a full disk. */
    boolean hasFailed() {
        return writer.checkError();
    }
}
