package dev.kvmvfio.it.conformance;

import java.util.ArrayList;
import java.util.List;

/**
 * A sequence that a real kernel and the mock answer differently.
 *
 * @param sequence what was run
 * @param real what the kernel of this machine answered
 * @param mock what the mock answered
 */
record Difference(Sequence sequence, List<String> real, List<String> mock) {
    private static final int PATIENCE_MILLIS = 25;
    private static final int LONG_PATIENCE_MILLIS = 500;

    /** Runs a sequence on both sides; null when they agree. An interrupt that was late is no difference. */
    static Difference find(Sequence sequence, Target target) {
        Difference hasty = run(sequence, target, PATIENCE_MILLIS);
        return hasty == null ? null : run(sequence, target, LONG_PATIENCE_MILLIS);
    }

    private static Difference run(Sequence sequence, Target target, int patienceMillis) {
        List<String> mock = Execution.onMock(sequence, target.profile());
        List<String> real = Execution.onLinux(sequence, patienceMillis);
        return real.equals(mock) ? null : new Difference(sequence, real, mock);
    }

    /** Leaves out every step without which the two still differ. */
    Difference minimised(Target target) {
        Difference smallest = this;
        for (int i = sequence.steps().size() - 1; i >= 0; i--) {
            List<Step> fewer = new ArrayList<>(smallest.sequence.steps());
            fewer.remove(i);
            Difference smaller = find(new Sequence(sequence.title(), fewer), target);
            smallest = smaller == null ? smallest : smaller;
        }
        return smallest;
    }

    /** The sequence with the answers; where they differ, with both. */
    String describe() {
        List<String> both = new ArrayList<>();
        for (int i = 0; i < real.size(); i++) {
            String mine = i < mock.size() ? mock.get(i) : "nothing";
            both.add(real.get(i).equals(mine) ? mine : real.get(i) + "   BUT THE MOCK: " + mine);
        }
        return sequence.transcript(both);
    }
}
