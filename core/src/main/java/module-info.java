/**
 * KVM, VFIO and iommufd for Java: a thin, safe layer over the kernel's own calls.
 *
 * <p>{@link dev.kvmvfio.passthrough.AttachedDevice#request} attaches a device in one call; the package {@code vfio} has
 * its steps, {@code kvm} the virtual machine. For tests without hardware there is a module of its own,
 * {@code dev.kvmvfio.mock}.
 *
 * <p>Native access is needed by this module alone: {@code --enable-native-access=dev.kvmvfio}.
 */
module dev.kvmvfio {
    requires transitive dev.kvmvfio.bindings;
    // For the events; without it there are none.
    requires static jdk.jfr;
    // Annotations, for compilers.
    requires static org.jspecify;

    exports dev.kvmvfio.dma;
    exports dev.kvmvfio.iommufd;
    exports dev.kvmvfio.kernel;
    exports dev.kvmvfio.kvm;
    exports dev.kvmvfio.kvm.aarch64;
    exports dev.kvmvfio.kvm.x86;
    exports dev.kvmvfio.passthrough;
    exports dev.kvmvfio.pci;
    exports dev.kvmvfio.vfio;
}
