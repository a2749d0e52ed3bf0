package dev.kvmvfio.it.conformance;

import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
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
     * @param arguments {@code compare}, {@code record} or {@code record-scripts}; the kernel's label; the seed; how many
     *        sequences
     */
    public static void main(String[] arguments) {
        Conformance conformance = new Conformance(Target.of(arguments[1]));
        long seed = Long.parseLong(arguments[2]);
        int count = Integer.parseInt(arguments[3]);
        int differences = 0;
        switch (arguments[0]) {
            case "compare" -> differences = conformance.compare(seed, count);
            case "record" -> conformance.record(seed, count);
            case "record-scripts" -> conformance.recordScripts();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        conformance.out.flush();
        System.exit(differences == 0 ? 0 : 1);
    }

    /** Runs the scripted sequences and random ones on both sides; answers how many differ. */
    private int compare(long seed, int count) {
        Generator generator = target.generator(seed);
        List<Sequence> scripts = Recording.scripts(target);
        long different = Stream.concat(scripts.stream(), IntStream.range(0, count).mapToObj(generator::sequence))
                .filter(this::differs).count();
        out.printf("%s: %d scripted and %d random sequences (seed %d), %d differ%n", target, scripts.size(), count,
                seed,
                different);
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

    private void record(long seed, int count) {
        Generator generator = target.generator(seed);
        out.println(Recording.header(seed));
        for (int i = 0; i < count; i++) {
            out.println(Recording.line(Execution.onLinux(generator.sequence(i), PATIENCE_MILLIS)));
            out.flush();
        }
    }

    private void recordScripts() {
        Recording.scripts(target)
                .forEach(sequence -> out.print(sequence.transcript(Execution.onLinux(sequence, PATIENCE_MILLIS))));
    }
}
