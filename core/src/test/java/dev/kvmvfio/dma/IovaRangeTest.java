package dev.kvmvfio.dma;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class IovaRangeTest {
    private static final long PAGE = 4096;
    private static final IovaRange LOW = new IovaRange(PAGE, 0xfedfffffL);
    private static final IovaRange ALL = new IovaRange(0, -1);
    private static final IovaRange TOP = new IovaRange(Long.MIN_VALUE, -1);

    @Test
    void containsWhatFitsToTheLastByte() {
        assertThat(LOW.contains(PAGE, 0xfee00000L - PAGE)).isTrue();
        assertThat(LOW.contains(PAGE, 0xfee00001L - PAGE)).isFalse();
        assertThat(LOW.contains(0, PAGE)).isFalse();
        assertThat(LOW.contains(PAGE - 1, PAGE)).isFalse();
        assertThat(LOW.contains(0xfedff000L, PAGE)).isTrue();
        assertThat(LOW.contains(0xfedff000L, PAGE + 1)).isFalse();
        assertThat(LOW.contains(0xfee00000L, 1)).isFalse();
    }

    @Test
    void addressesAreUnsigned() {
        assertThat(ALL.contains(-PAGE, PAGE)).isTrue();
        assertThat(ALL.contains(Long.MIN_VALUE, Long.MAX_VALUE)).isTrue();
        assertThat(TOP.contains(-1, 1)).isTrue();
        assertThat(TOP.contains(Long.MAX_VALUE, 1)).isFalse();
        assertThat(LOW.contains(-PAGE, PAGE)).isFalse();
    }

    @Test
    void aMappingThatWrapsFitsNowhere() {
        assertThat(ALL.contains(-PAGE, 2 * PAGE)).isFalse();
        assertThat(TOP.contains(-1, 2)).isFalse();
        assertThat(LOW.contains(PAGE, Long.MAX_VALUE)).isFalse();
    }

    @Test
    void oneAddressIsARange() {
        IovaRange one = new IovaRange(5, 5);
        assertThat(one.contains(5, 1)).isTrue();
        assertThat(one.contains(5, 2)).isFalse();
        assertThat(one).hasToString("0x5..0x5");
        assertThat(TOP).hasToString("0x8000000000000000..0xffffffffffffffff");
    }
}
