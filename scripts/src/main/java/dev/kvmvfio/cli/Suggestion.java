package dev.kvmvfio.cli;

import java.util.Comparator;
import java.util.List;

/** Guesses what somebody meant who wrote a word with a letter wrong. */
final class Suggestion {
    private Suggestion() {
    }

    /** The end of a message; empty when no word is near. */
    static String of(String wrong, List<String> words) {
        return words.stream().filter(word -> distance(wrong, word) <= 2 || wrong.length() > 2 && word.startsWith(wrong))
                .min(Comparator.comparingInt(word -> distance(wrong, word))).map(word -> "; did you mean " + word + "?")
                .orElse("");
    }

    /** How many letters must be added, left out or changed. */
    private static int distance(String from, String to) {
        int[] row = new int[to.length() + 1];
        for (int j = 0; j < row.length; j++) {
            row[j] = j;
        }
        for (int i = 1; i <= from.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j < row.length; j++) {
                int changed = diagonal + (from.charAt(i - 1) == to.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(changed, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[to.length()];
    }
}
