package dev.kvmvfio.it.conformance;

import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;

/** A sequence that is being thrown together: its steps, and which names stand for what kind of thing if all goes well. */
final class Draft {
    private static final int ODD = 12;

    private final long seed;
    private final Target target;
    private final Random random;
    private final List<String> steps;
    private final Map<Kind, List<String>> made;
    private final List<String> files;

    Draft(long seed, Target target) {
        this.seed = seed;
        this.target = target;
        random = new Random(seed);
        steps = new ArrayList<>();
        made = new EnumMap<>(Kind.class);
        files = new ArrayList<>();
    }

    private Draft(Draft shared, String moves) {
        seed = shared.seed;
        target = shared.target;
        // Seeds of one distance would make streams of one distance.
        random = new Random(new SplittableRandom(seed + moves.hashCode()).nextLong());
        steps = shared.steps;
        made = shared.made;
        files = shared.files;
    }

    /** The same draft for other moves, which draw from a stream of their own: their draws change none of this one. */
    Draft joinedBy(String moves) {
        return new Draft(this, moves);
    }

    /** What a name may stand for; the text is the first part of such names. */
    enum Kind {
        /** {@code /dev/kvm}. */
        KVM("kvm"),
        /** A virtual machine. */
        VM("vm"),
        /** A virtual processor. */
        VCPU("cpu"),
        /** The KVM-VFIO device. */
        KVM_VFIO("kv"),
        /** An eventfd. */
        EVENTFD("e"),
        /** {@code /dev/vfio/vfio}. */
        CONTAINER("c"),
        /** A group's file. */
        GROUP("g"),
        /** A device's file, from its group or its own node. */
        DEVICE("d"),
        /** {@code /dev/iommu}. */
        IOMMUFD("i"),
        /** Memory of the process. */
        MEMORY("m"),
        /** An object of iommufd. */
        IOAS("s"),
        /** A page table of iommufd. */
        HWPT("t"),
        /** A mapped BAR. */
        BAR("b"),
        /** A device that is QEMU's teaching device. */
        EDU("d");

        private final String prefix;

        Kind(String prefix) {
            this.prefix = prefix;
        }

        boolean isFile() {
            return compareTo(MEMORY) < 0;
        }
    }

    /** The kernel that is to run it. */
    Target target() {
        return target;
    }

    boolean chance(int of) {
        return random.nextInt(of) == 0;
    }

    int below(int bound) {
        return random.nextInt(bound);
    }

    /** One of some values. */
    String of(String... values) {
        return values[random.nextInt(values.length)];
    }

    /** The value that is right, or now and then one that is not. */
    String mostly(String usual, String... odd) {
        return chance(ODD) ? of(odd) : usual;
    }

    boolean has(Kind kind) {
        return !made.getOrDefault(kind, List.of()).isEmpty();
    }

    /** A name of some kind; now and then that of another, or of nothing. */
    String any(Kind kind) {
        List<String> names = made.getOrDefault(kind, List.of());
        if (kind.isFile() && chance(2 * ODD) && !files.isEmpty()) {
            return files.get(random.nextInt(files.size()));
        }
        return names.isEmpty() || chance(6 * ODD) ? "nothing" : names.get(random.nextInt(names.size()));
    }

    /** A name of some kind, and never of another. */
    String only(Kind kind) {
        List<String> names = made.getOrDefault(kind, List.of());
        return names.isEmpty() ? "nothing" : names.get(random.nextInt(names.size()));
    }

    /** The newest of some kind. */
    String last(Kind kind) {
        List<String> names = made.getOrDefault(kind, List.of());
        return names.isEmpty() ? "nothing" : names.getLast();
    }

    String anyFile() {
        return files.isEmpty() ? "nothing" : files.get(random.nextInt(files.size()));
    }

    void step(String verb, String... operands) {
        steps.add(verb + " " + String.join(" ", operands));
    }

    void ioctl(String file, String request, String... operands) {
        steps.add(("ioctl " + file + " " + request + " " + String.join(" ", operands)).strip());
    }

    /** A step that makes something. */
    String make(Kind kind, String step) {
        List<String> names = made.computeIfAbsent(kind, _ -> new ArrayList<>());
        String name = kind.prefix + (names.size() + 1);
        names.add(name);
        if (kind.isFile()) {
            files.add(name);
        }
        steps.add(name + " = " + step);
        return name;
    }

    /** Says more of what has a name already. */
    void also(Kind kind, String name) {
        made.computeIfAbsent(kind, _ -> new ArrayList<>()).add(name);
    }

    /** Makes a call again that was made before. */
    void repeat() {
        List<String> calls = steps.stream().filter(step -> step.startsWith("ioctl")).toList();
        if (!calls.isEmpty()) {
            steps.add(calls.get(random.nextInt(calls.size())));
        }
    }

    /** Closes all files and unmaps all memory, in any order. */
    void giveBackAll() {
        List<String> left = new ArrayList<>();
        files.forEach(file -> left.add("close " + file));
        made.getOrDefault(Kind.MEMORY, List.of()).forEach(memory -> left.add("munmap " + memory));
        made.getOrDefault(Kind.BAR, List.of()).forEach(bar -> left.add("munmap " + bar));
        Collections.shuffle(left, random);
        steps.addAll(left);
    }

    int length() {
        return steps.size();
    }

    Sequence sequence(String title) {
        return Sequence.of(title, steps);
    }
}
