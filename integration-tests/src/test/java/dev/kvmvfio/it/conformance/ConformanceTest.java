package dev.kvmvfio.it.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The mock answers as real kernels did. Their answers were recorded by {@code scripts/conformance --record}. */
@Tag("mock")
class ConformanceTest {
    private static final int SHOWN = 5;

    @ParameterizedTest
    @EnumSource
    void scriptedSequences(Target target) {
        String mock = Recording.scripts(target).stream()
                .map(sequence -> sequence.transcript(Execution.onMock(sequence, target.profile())))
                .collect(Collectors.joining());
        assertThat(mock).isEqualTo(Recording.scripted(target));
    }

    /** One after the other: a sequence may use memory that it unmapped, which must not be another's by then. */
    @ParameterizedTest
    @EnumSource
    void randomSequences(Target target) {
        Recording recording = Recording.read(target);
        Generator generator = target.generator(recording.seed());
        List<Difference> differences = IntStream.range(0, recording.results().size())
                .mapToObj(i -> compare(target, generator.sequence(i), recording.results().get(i)))
                .filter(pair -> !pair.real().equals(pair.mock())).toList();
        assertThat(differences.stream().limit(SHOWN).map(Difference::describe)
                .collect(Collectors.joining("\n", differences.size() + " sequences differ\n", "")))
                .isEqualTo("0 sequences differ\n");
    }

    /** The JVM itself may have taken memory that a sequence uses after unmapping it, which a second run tells apart. */
    private static Difference compare(Target target, Sequence sequence, List<String> real) {
        Difference first = new Difference(sequence, real, Execution.onMock(sequence, target.profile()));
        return first.real().equals(first.mock())
                ? first
                : new Difference(sequence, real, Execution.onMock(sequence, target.profile()));
    }
}
