/** Constants and struct layouts of the kernel's user interface, as jextract writes them from its headers. */
module dev.kvmvfio.bindings {
    exports dev.kvmvfio.bindings.iommufd;
    exports dev.kvmvfio.bindings.kvm;
    exports dev.kvmvfio.bindings.kvm.aarch64;
    exports dev.kvmvfio.bindings.kvm.x86_64;
    exports dev.kvmvfio.bindings.system;
    exports dev.kvmvfio.bindings.system.aarch64;
    exports dev.kvmvfio.bindings.system.x86_64;
    exports dev.kvmvfio.bindings.vfio;
}
