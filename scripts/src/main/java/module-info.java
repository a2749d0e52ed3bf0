/** The command-line program {@code kvm-vfio}, and the shell. */
module dev.kvmvfio.cli {
    requires com.google.gson;
    requires dev.kvmvfio;
    requires dev.kvmvfio.mock;
    requires org.apache.commons.cli;
    // For the shell, which runs on the class path; the command line starts without it.
    requires static jdk.jshell;

    opens dev.kvmvfio.cli to com.google.gson;
}
