/**
 * A model of Linux with KVM, VFIO and iommufd, for tests on machines that have none of them.
 *
 * <p>{@link dev.kvmvfio.mock.MockKernel} is such a kernel; {@link dev.kvmvfio.mock.model} has the words that describe one.
 *
 * <p>It needs no native access of its own: {@code --enable-native-access=dev.kvmvfio} is enough.
 */
module dev.kvmvfio.mock {
    requires transitive dev.kvmvfio;
    // Annotations, for compilers.
    requires static org.jspecify;

    exports dev.kvmvfio.mock;
    exports dev.kvmvfio.mock.model;
}
