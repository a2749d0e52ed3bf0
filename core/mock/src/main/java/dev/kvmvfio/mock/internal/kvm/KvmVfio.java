package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EEXIST;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOENT;

import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.OpenFile;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.util.ArrayList;
import java.util.List;

/**
 * The VFIO files that a virtual machine knows. It keeps them open, and knows them by the open file, not by a number.
 */
final class KvmVfio implements Machine.Holder {
    private final VirtualMachine vm;
    private final List<OpenFile> files = new ArrayList<>();

    KvmVfio(VirtualMachine vm) {
        this.vm = vm;
        vm.machine().add(this);
    }

    void add(OpenFile file) {
        Refusal.when(!isValid(file), EINVAL);
        Refusal.when(files.contains(file), EEXIST);
        files.add(file.get());
        ((KvmVfioFile) file).setVm(vm);
    }

    private boolean isValid(OpenFile file) {
        return file instanceof KvmVfioFile known && (known.isGroup() || vm.machine().profile().hasCdev());
    }

    void remove(OpenFile file) {
        Refusal.when(!files.remove(file), ENOENT);
        ((KvmVfioFile) file).setVm(null);
        file.put();
    }

    void release() {
        vm.machine().remove(this);
        List.copyOf(files).forEach(this::remove);
    }

    @Override
    public List<String> held() {
        return files.stream().map(file -> "KVM holds " + file + ": added and not removed").toList();
    }
}
