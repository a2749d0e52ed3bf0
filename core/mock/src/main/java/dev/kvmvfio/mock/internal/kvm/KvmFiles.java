package dev.kvmvfio.mock.internal.kvm;

import dev.kvmvfio.mock.internal.system.FileSource;
import dev.kvmvfio.mock.internal.system.FileTree;
import dev.kvmvfio.mock.internal.system.Machine;

/** The node and the module of KVM. */
public final class KvmFiles implements FileSource {
    private static final int MINOR = 232;

    private final Machine machine;

    public KvmFiles(Machine machine) {
        this.machine = machine;
    }

    @Override
    public void addTo(FileTree files) {
        files.add("/dev/kvm", FileTree.DeviceNode.misc(MINOR, 0600, () -> new KvmSystemFile(machine)));
        files.addFolder("/sys/module/kvm");
    }
}
