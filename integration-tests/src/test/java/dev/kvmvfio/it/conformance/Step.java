package dev.kvmvfio.it.conformance;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One system call of a sequence, as text: {@code vm = ioctl kvm KVM_CREATE_VM 0}. What it makes gets a name, by which
 * later steps refer to it.
 *
 * @param name of what is made, or empty
 * @param verb which call
 * @param operands the call's arguments
 */
record Step(String name, String verb, List<String> operands) {
    private static final Pattern WORD = Pattern.compile("\"[^\"]*\"|\\S+");

    static Step parse(String line) {
        List<String> words = new ArrayList<>();
        Matcher matcher = WORD.matcher(line);
        while (matcher.find()) {
            words.add(matcher.group());
        }
        boolean named = words.size() > 2 && words.get(1).equals("=");
        String name = named ? words.getFirst() : "";
        List<String> rest = words.subList(named ? 2 : 0, words.size());
        return new Step(name, rest.getFirst(), List.copyOf(rest.subList(1, rest.size())));
    }

    String operand(int i) {
        return i < operands.size() ? operands.get(i) : "";
    }

    @Override
    public String toString() {
        return (name.isEmpty() ? "" : name + " = ") + verb + " " + String.join(" ", operands);
    }
}
