package dev.kvmvfio.cli;

import dev.kvmvfio.cli.Output.Cell;
import dev.kvmvfio.cli.Output.Style;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/** Rows in columns, which are cut where a terminal ends: the last columns first. */
final class Table {
    private static final String GAP = "  ";
    private static final String CUT = "…";
    /** What a column is cut to at most. */
    private static final int LEAST = 8;

    private final List<List<Cell>> rows = new ArrayList<>();

    void add(List<Cell> row) {
        rows.add(row.stream().map(cell -> new Cell(Visible.of(cell.text()), cell.style())).toList());
    }

    /** The rows, each as wide as the terminal at most; the first one decides how many columns there are. */
    List<List<Cell>> fitted(OptionalInt terminal) {
        int[] widths = new int[rows.getFirst().size()];
        for (int column = 0; column < widths.length; column++) {
            int index = column;
            widths[column] = rows.stream().mapToInt(row -> row.get(index).text().length()).max().orElseThrow();
        }
        terminal.ifPresent(columns -> cut(widths, columns));
        return rows.stream().map(row -> fitted(row, widths)).toList();
    }

    private static void cut(int[] widths, int columns) {
        int over = (widths.length - 1) * GAP.length() - columns;
        for (int width : widths) {
            over += width;
        }
        for (int column = widths.length - 1; column >= 0 && over > 0; column--) {
            int less = Math.min(over, Math.max(0, widths[column] - LEAST));
            widths[column] -= less;
            over -= less;
        }
    }

    private static List<Cell> fitted(List<Cell> row, int[] widths) {
        List<Cell> cells = new ArrayList<>();
        for (int column = 0; column < widths.length; column++) {
            String text = row.get(column).text();
            int width = widths[column];
            cells.add(new Cell(text.length() > width ? text.substring(0, width - 1) + CUT : text,
                    row.get(column).style()));
            cells.add(new Cell(" ".repeat(Math.max(0, width - text.length())) + GAP, Style.PLAIN));
        }
        return cells;
    }
}
