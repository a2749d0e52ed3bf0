/** An example of a virtual machine monitor, which gives devices of the host to its guest. */
module dev.kvmvfio.vmm {
    requires transitive dev.kvmvfio;
    requires org.apache.commons.cli;

    exports dev.kvmvfio.vmm;
}
