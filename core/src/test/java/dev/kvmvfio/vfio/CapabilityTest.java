package dev.kvmvfio.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.vfio.vfio_info_cap_header;
import dev.kvmvfio.internal.Answer;
import dev.kvmvfio.kernel.AnswerException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CapabilityTest {
    private static final int SIZE = 128;
    private static final Answer ANSWER = new Answer("GET_INFO", "a device");

    private final MemorySegment answer = Arena.ofAuto().allocate(SIZE, 8);

    private CapabilityTest put(int offset, int id, int next) {
        MemorySegment header = vfio_info_cap_header.allocate(Arena.ofAuto());
        vfio_info_cap_header.id(header, (short) id);
        vfio_info_cap_header.version(header, (short) 1);
        vfio_info_cap_header.next(header, next);
        answer.asSlice(offset).copyFrom(header);
        return this;
    }

    @Test
    void noChainIsEmpty() {
        assertThat(Capability.chain(ANSWER, answer, 0)).isEmpty();
    }

    @Test
    void followsTheChainInItsOrder() {
        put(32, 3, 64).put(64, 0xfffe, 120).put(120, 1, 0);
        assertThat(Capability.chain(ANSWER, answer, 32)).extracting(Capability::id).containsExactly(3, 0xfffe, 1);
        assertThat(Capability.chain(ANSWER, answer, 32)).extracting(Capability::version).containsOnly(1);
    }

    @Test
    void aBodyReachesFromItsHeaderToTheEndOfTheAnswer() {
        put(64, 1, 0);
        answer.set(ValueLayout.JAVA_BYTE, SIZE - 1, (byte) 7);
        MemorySegment body = Capability.chain(ANSWER, answer, 64).getFirst().body(8);
        assertThat(body.byteSize()).isEqualTo(SIZE - 64);
        assertThat(body.mismatch(answer.asSlice(64))).isEqualTo(-1);
    }

    @Test
    void aChainOfOddFoursIsAsGood() {
        put(36, 1, 84).put(84, 2, 0);
        List<Capability> chain = Capability.chain(ANSWER, answer, 36);
        assertThat(chain).extracting(Capability::id).containsExactly(1, 2);
        assertThat(chain).allMatch(capability -> capability.body(8).address() % Long.BYTES == 0);
    }

    @ParameterizedTest
    @ValueSource(ints = {32, 40, 8})
    void aChainThatGoesBackIsRefused(int next) {
        put(32, 1, 40).put(40, 2, next).put(8, 3, 0);
        assertThatThrownBy(() -> Capability.chain(ANSWER, answer, 32)).isInstanceOf(AnswerException.class)
                .hasMessageContaining("goes back from 40 to " + next);
    }

    @ParameterizedTest
    @ValueSource(ints = {SIZE - 7, SIZE, SIZE + 8, Integer.MAX_VALUE, -8, Integer.MIN_VALUE})
    void aChainThatLeavesTheAnswerIsRefused(int outside) {
        put(32, 1, outside);
        String message = "GET_INFO on a device answered a capability at " + Integer.toUnsignedString(outside)
                + ", outside of its 128 bytes";
        assertThatThrownBy(() -> Capability.chain(ANSWER, answer, 32)).isInstanceOf(AnswerException.class)
                .hasMessage(message);
        assertThatThrownBy(() -> Capability.chain(ANSWER, answer, outside)).hasMessage(message);
    }

    @Test
    void anAnswerThatIsTooShortHasNone() {
        assertThatThrownBy(() -> Capability.chain(ANSWER, answer.asSlice(0, 4), 1)).isInstanceOf(AnswerException.class)
                .hasMessageContaining("at 1, outside of its 4 bytes");
    }

    @Test
    void aCapabilityThatIsTooShortIsRefused() {
        put(SIZE - 8, 7, 0);
        Capability last = Capability.chain(ANSWER, answer, SIZE - 8).getFirst();
        assertThatThrownBy(() -> last.body(16)).isInstanceOf(AnswerException.class)
                .hasMessageEndingWith("answered a capability 7 of 8 bytes, where it has 16");
    }
}
