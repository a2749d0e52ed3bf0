package dev.kvmvfio.api;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** What a type offers fits on a page. Beyond that a part of it becomes a facet, a type of its own. */
class PublicMethodsTest {
    static final int LIMIT = 25;

    @Test
    void noTypeHasTooMany() {
        assertThat(PublicType.all()).isNotEmpty().allSatisfy(
                type -> assertThat(type.ownMethods()).as("%s", type).hasSizeLessThanOrEqualTo(LIMIT));
    }
}
