package dev.kvmvfio.it.conformance;

import dev.kvmvfio.it.conformance.Generator.Title;
import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
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
     * @param arguments the kernel's label; {@code scripts} to record those; or {@code compare} or {@code record}, the
     *        seed, the numbers of the first sequence and of the one after the last, and the families, if not all
     */
    public static void main(String[] arguments) {
        Conformance conformance = new Conformance(Target.of(arguments[0]));
        int differences = 0;
        if (arguments[1].equals("scripts")) {
            conformance.recordScripts();
        } else {
            long seed = Long.parseLong(arguments[2]);
            int first = Integer.parseInt(arguments[3]);
            int end = Integer.parseInt(arguments[4]);
            List<Family> families = Arrays.stream(arguments).skip(5).map(Family::of).toList();
            List<Title> titles = conformance.titles(seed, first, end, families);
            if (arguments[1].equals("compare")) {
                differences = conformance.compare(titles, families.isEmpty());
            } else {
                conformance.record(titles);
            }
        }
        conformance.out.flush();
        System.exit(differences == 0 ? 0 : 1);
    }

    /** The families in turn, so that any part of the sequences has of all. */
    private List<Title> titles(long seed, int first, int end, List<Family> families) {
        List<Family> turns = target.families().stream()
                .filter(family -> families.isEmpty() || families.contains(family)).toList();
        return IntStream.range(first, end).mapToObj(i -> new Title(turns.get(i % turns.size()), seed, i)).toList();
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

    private void record(List<Title> titles) {
        Generator generator = new Generator(target);
        for (Title title : titles) {
            out.println(Recording.now(title, Execution.onLinux(generator.sequence(title), PATIENCE_MILLIS)));
            out.flush();
        }
    }

    private void recordScripts() {
        Recording.scripts(target)
                .forEach(sequence -> out.print(sequence.transcript(Execution.onLinux(sequence, PATIENCE_MILLIS))));
    }
}
