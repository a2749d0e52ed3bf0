/** An example of a virtual machine monitor, which gives devices of the host to its guest. */
module dev.kvmvfio.vmm {
    requires transitive dev.kvmvfio;

    exports dev.kvmvfio.vmm;
}
