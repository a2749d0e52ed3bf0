package dev.kvmvfio.it.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The mock answers as real kernels did. Their answers were recorded by {@code scripts/conformance --record}. */
@Tag("mock")
class ConformanceTest {
    private static final int SHOWN = 5;

    @ParameterizedTest
    @EnumSource
    void scriptedSequences(Target target) {
        String mock = Recording.scripts(target)
                .map(sequence -> sequence.transcript(Execution.onMock(sequence, target.profile())))
                .collect(Collectors.joining());
        assertThat(mock).isEqualTo(Recording.scripted(target));
    }

    static Stream<Arguments> recorded() {
        return Arrays.stream(Target.values()).flatMap(
                target -> target.families().stream().distinct().map(family -> Arguments.of(target, family)));
    }

    @ParameterizedTest
    @MethodSource("recorded")
    void randomSequences(Target target, Family family) {
        List<Recording> recordings = Recording.read(target, family);
        assertThat(recordings).isNotEmpty();
        Generator generator = new Generator(target);
        assertThat(recordings).as("those of sequences that the generator makes otherwise now: record them again")
                .filteredOn(recording -> !recording.isOf(generator.sequence(recording.title())))
                .extracting(Recording::title).isEmpty();
        List<Difference> differences = recordings.parallelStream().map(recording -> {
            Sequence sequence = generator.sequence(recording.title());
            return new Difference(sequence, recording.results(), Execution.onMock(sequence, target.profile()));
        }).filter(pair -> !pair.real().equals(pair.mock())).toList();
        assertThat(differences.stream().limit(SHOWN).map(Difference::describe)
                .collect(Collectors.joining("\n", differences.size() + " sequences differ\n", "")))
                .isEqualTo("0 sequences differ\n");
    }
}
