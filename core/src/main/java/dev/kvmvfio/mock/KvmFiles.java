package dev.kvmvfio.mock;

/** The node and the module of KVM. */
final class KvmFiles implements FileSource {
    private static final int MINOR = 232;

    private final Machine machine;

    KvmFiles(Machine machine) {
        this.machine = machine;
    }

    @Override
    public void addTo(FileTree files) {
        files.add("/dev/kvm", FileTree.DeviceNode.misc(MINOR, () -> new KvmSystemFile(machine)));
        files.addFolder("/sys/module/kvm");
    }
}
