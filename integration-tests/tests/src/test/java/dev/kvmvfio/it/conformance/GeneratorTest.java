package dev.kvmvfio.it.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.it.conformance.Generator.Joining;
import dev.kvmvfio.it.conformance.Generator.Title;
import java.util.List;
import java.util.function.Function;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What was recorded of a sequence is true for as long as its title makes the same sequence. */
@Tag("mock")
class GeneratorTest {
    private static final long SEED = 1;
    private static final int SEQUENCES = 1000;

    private final Generator generator = new Generator(Target.V7_2);

    private List<Sequence> sequences(Family family, Function<Draft, List<Joining>> others) {
        return IntStream.range(0, SEQUENCES)
                .mapToObj(number -> generator.sequence(new Title(family, SEED, number), others)).toList();
    }

    /** Moves that take few turns; each is a step that no other move makes, and draws more than the one before it. */
    private static List<Joining> marking(Draft draft, int moves) {
        Draft own = draft.joinedBy("mark");
        return List.of(new Joining(own, 40, () -> {
            int move = own.below(moves);
            IntStream.rangeClosed(0, move).forEach(_ -> own.step("mark", own.of("a", "b", "c")));
        }));
    }

    private static boolean isMarked(Sequence sequence) {
        return sequence.steps().stream().anyMatch(step -> step.verb().equals("mark"));
    }

    private static List<Integer> numbers(IntPredicate wanted) {
        return IntStream.range(0, SEQUENCES).filter(wanted).boxed().toList();
    }

    @ParameterizedTest
    @EnumSource
    void newMovesChangeOnlyTheSequencesThatUseThem(Family family) {
        List<Sequence> without = sequences(family, _ -> List.of());
        List<Sequence> withOne = sequences(family, draft -> marking(draft, 1));
        List<Sequence> withTwo = sequences(family, draft -> marking(draft, 2));
        List<Integer> unmarked = numbers(i -> !isMarked(withOne.get(i)));
        assertThat(unmarked).hasSizeBetween(SEQUENCES / 10, SEQUENCES * 9 / 10);
        assertThat(numbers(i -> withOne.get(i).equals(without.get(i)))).as("a new set of moves").isEqualTo(unmarked);
        assertThat(numbers(i -> withTwo.get(i).equals(without.get(i)))).as("one more move in it").isEqualTo(unmarked);
    }
}
