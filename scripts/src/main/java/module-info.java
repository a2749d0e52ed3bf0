/** The command-line program {@code kvm-vfio}. */
module dev.kvmvfio.cli {
    requires com.google.gson;
    requires dev.kvmvfio;
    requires info.picocli;

    opens dev.kvmvfio.cli to info.picocli, com.google.gson;
}
