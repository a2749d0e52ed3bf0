/**
 * For the tests of programs that use the library, with JUnit 5 or 6: a mock host for each test, and tests that need
 * KVM or VFIO.
 */
module dev.kvmvfio.junit {
    requires transitive dev.kvmvfio.mock;
    requires transitive org.junit.jupiter.api;
    // Annotations, for compilers.
    requires static org.jspecify;

    exports dev.kvmvfio.junit;
    // What an annotation names is made by JUnit.
    opens dev.kvmvfio.junit to org.junit.platform.commons;
}
