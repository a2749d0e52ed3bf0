package dev.kvmvfio.it.conformance;

import dev.kvmvfio.it.conformance.Generator.Title;
import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The program behind {@code scripts/conformance}: runs sequences on the kernel of this machine. */
public final class Conformance {
    private static final int PATIENCE_MILLIS = 25;

    private final PrintStream out = new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false,
            StandardCharsets.UTF_8);
    private final Target target;

    private Conformance(Target target) {
        this.target = target;
    }

    /**
     * Compares with the mock, or prints a recording.
     *
     * @param arguments the kernel's label; {@code scripts} to record those; or {@code compare} or {@code record}, the seed,
     *        how many sequences, and their families, if not all
     */
    public static void main(String[] arguments) {
        Conformance conformance = new Conformance(Target.of(arguments[0]));
        List<String> others = Arrays.asList(arguments).subList(2, arguments.length);
        int differences = 0;
        switch (arguments[1]) {
            case "scripts" -> conformance.recordScripts();
            case "record" -> conformance.record(conformance.titles(others));
            default -> differences = conformance.compare(conformance.titles(others), others.size() == 2);
        }
        conformance.out.flush();
        System.exit(differences == 0 ? 0 : 1);
    }

    /** The families in turn, so that any part of the sequences has of all. */
    private List<Title> titles(List<String> arguments) {
        long seed = Long.parseLong(arguments.getFirst());
        List<Family> turns = target.families();
        List<Family> wanted = arguments.size() == 2 ? turns : arguments.stream().skip(2).map(Family::of).toList();
        if (!turns.containsAll(wanted)) {
            throw new IllegalArgumentException(target + " has only the families " + Set.copyOf(turns));
        }
        return IntStream.iterate(0, i -> i + 1).mapToObj(i -> new Title(turns.get(i % turns.size()), seed, i))
                .filter(title -> wanted.contains(title.family())).limit(Integer.parseInt(arguments.get(1))).toList();
    }

    /** Runs random sequences, and the scripted ones if asked for, on both sides; answers how many differ. */
    private int compare(List<Title> titles, boolean withScripts) {
        List<Sequence> scripts = withScripts ? Recording.scripts(target).toList() : List.of();
        Generator generator = new Generator(target);
        long different = Stream.concat(scripts.stream(), titles.stream().map(generator::sequence))
                .filter(this::differs).count();
        out.printf("Linux %s: %d scripted and %d random sequences, %d differ%n", System.getProperty("os.version"),
                scripts.size(), titles.size(), different);
        return Math.toIntExact(different);
    }

    private boolean differs(Sequence sequence) {
        Difference difference = Difference.find(sequence, target);
        if (difference != null) {
            out.println(difference.minimised(target).describe());
            out.flush();
        }
        return difference != null;
    }

    /** Runs what is not recorded yet. What is recorded has a line each on standard input: title and digest. */
    private void record(List<Title> titles) {
        // System.in asks how much there is, which the lab's machine cannot tell.
        InputStream in = new FileInputStream(FileDescriptor.in);
        Set<String> recorded = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8)).lines()
                .collect(Collectors.toSet());
        Generator generator = new Generator(target);
        for (Title title : titles) {
            Sequence sequence = generator.sequence(title);
            if (!recorded.contains(title + "\t" + sequence.digest())) {
                out.println(Recording.now(title, sequence, Execution.onLinux(sequence, PATIENCE_MILLIS)));
                out.flush();
            }
        }
    }

    private void recordScripts() {
        Recording.scripts(target)
                .forEach(sequence -> out.print(sequence.transcript(Execution.onLinux(sequence, PATIENCE_MILLIS))));
    }
}
