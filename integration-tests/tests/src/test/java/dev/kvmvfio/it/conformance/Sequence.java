package dev.kvmvfio.it.conformance;

import java.util.ArrayList;
import java.util.List;

/**
 * System calls that are made one after the other.
 *
 * @param title what it is about
 * @param steps the calls
 */
record Sequence(String title, List<Step> steps) {
    private static final String TITLE = "== ";

    /** Reads sequences, each below a line {@code == title}; a line that begins with {@code #} is a comment. */
    static List<Sequence> parseAll(List<String> lines) {
        List<Sequence> all = new ArrayList<>();
        for (String line : lines) {
            if (line.startsWith(TITLE)) {
                all.add(new Sequence(line.substring(TITLE.length()), new ArrayList<>()));
            } else if (!line.isBlank() && !line.startsWith("#")) {
                all.getLast().steps.add(Step.parse(line));
            }
        }
        return all;
    }

    static Sequence of(String title, List<String> lines) {
        return new Sequence(title, lines.stream().map(Step::parse).toList());
    }

    /** Tells the steps from those of nearly every other sequence. */
    String digest() {
        return Integer.toHexString(steps.toString().hashCode());
    }

    /** The sequence and what came of each step, to be read and compared. */
    String transcript(List<String> results) {
        StringBuilder text = new StringBuilder(TITLE + title + "\n");
        for (int i = 0; i < steps.size(); i++) {
            text.append(String.format("%-90s > %s%n", steps.get(i), results.get(i)));
        }
        results.subList(steps.size(), results.size()).forEach(result -> text.append("> ").append(result).append('\n'));
        return text.toString();
    }
}
