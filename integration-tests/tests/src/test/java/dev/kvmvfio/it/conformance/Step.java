package dev.kvmvfio.it.conformance;

import java.util.ArrayList;
import java.util.List;

/**
 * One system call of a sequence, as text: {@code vm = ioctl kvm KVM_CREATE_VM 0}. What it makes gets a name, by which
 * later steps refer to it.
 *
 * @param name of what is made, or empty
 * @param verb which call
 * @param operands the call's arguments
 */
record Step(String name, String verb, List<String> operands) {
    static Step parse(String line) {
        List<String> words = words(line);
        boolean named = words.size() > 2 && words.get(1).equals("=");
        String name = named ? words.getFirst() : "";
        List<String> rest = words.subList(named ? 2 : 0, words.size());
        return new Step(name, rest.getFirst(), List.copyOf(rest.subList(1, rest.size())));
    }

    /** Splits at blanks that are not inside of quotation marks. */
    private static List<String> words(String line) {
        List<String> words = new ArrayList<>();
        int start = 0;
        boolean quoted = false;
        for (int i = 0; i <= line.length(); i++) {
            char next = i == line.length() ? ' ' : line.charAt(i);
            quoted ^= next == '"';
            if (next == ' ' && !quoted) {
                if (i > start) {
                    words.add(line.substring(start, i));
                }
                start = i + 1;
            }
        }
        return words;
    }

    String operand(int i) {
        return i < operands.size() ? operands.get(i) : "";
    }

    @Override
    public String toString() {
        return (name.isEmpty() ? "" : name + " = ") + verb + " " + String.join(" ", operands);
    }
}
