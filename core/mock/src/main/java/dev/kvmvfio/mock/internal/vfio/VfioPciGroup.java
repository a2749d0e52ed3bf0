package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EBUSY;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;

import dev.kvmvfio.mock.internal.iommufd.IommufdFile;
import dev.kvmvfio.mock.internal.kvm.VirtualMachine;
import dev.kvmvfio.mock.internal.pci.IsolationGroup;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.OpenFile;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.util.ArrayList;
import java.util.List;

/** An IOMMU group of which {@code vfio-pci} has at least one device: who has its file open, and in which container. */
final class VfioPciGroup {
    private final Machine machine;
    private final IsolationGroup iommuGroup;
    private final List<VfioPciDevice> devices = new ArrayList<>();
    private GroupFile file;
    private VirtualMachine vm;
    private Container container;
    private int containerUsers;
    private IommufdFile iommufd;
    private int devicesOpenByCdev;
    private boolean dead;

    VfioPciGroup(Machine machine, IsolationGroup iommuGroup) {
        this.machine = machine;
        this.iommuGroup = iommuGroup;
    }

    Machine machine() {
        return machine;
    }

    IsolationGroup iommuGroup() {
        return iommuGroup;
    }

    List<VfioPciDevice> devices() {
        return devices;
    }

    String path() {
        return "/dev/vfio/" + iommuGroup.number();
    }

    /** Opens the group's node, which only one can have open, and nobody while a device is bound by its own node. */
    OpenFile open() {
        Refusal.when(devicesOpenByCdev > 0 || file != null, EBUSY);
        file = new GroupFile(this);
        return file;
    }

    /** The last device has lost its driver. A file that is open still is of no use any more. */
    void die() {
        leaveContainer();
        dead = true;
    }

    void requireLife() {
        Refusal.when(dead, ENODEV);
    }

    void closed() {
        leaveContainer();
        file = null;
    }

    /** Keeps the group's node shut while a device is bound by its own. */
    void block() {
        Refusal.when(file != null, EBUSY);
        devicesOpenByCdev++;
    }

    void unblock() {
        devicesOpenByCdev--;
    }

    /** The virtual machine that KVM told this group of, or null. */
    VirtualMachine vm() {
        return vm;
    }

    void setVm(VirtualMachine machine) {
        vm = machine;
    }

    boolean hasIommu() {
        return container != null || iommufd != null;
    }

    /** The iommufd that serves as this group's container, or null. */
    IommufdFile iommufd() {
        return iommufd;
    }

    Container container() {
        return container;
    }

    void enter(Container entered) {
        iommuGroup.claim(this);
        try {
            entered.add(this);
        } catch (Refusal refused) {
            iommuGroup.release();
            throw refused;
        }
        container = entered;
        containerUsers = 1;
    }

    void enter(IommufdFile entered) {
        entered.ensureCompatIoas();
        entered.get();
        iommufd = entered;
    }

    /** Leaves at the program's wish, which needs all devices closed. */
    void unset() {
        Refusal.when(!hasIommu(), EINVAL);
        Refusal.when(container != null && containerUsers != 1, EBUSY);
        leaveContainer();
    }

    private void leaveContainer() {
        if (container != null) {
            container.remove(this);
            iommuGroup.release();
            container = null;
            containerUsers = 0;
        }
        if (iommufd != null) {
            iommufd.put();
            iommufd = null;
        }
    }

    /** A device is opened in the container. It keeps the group's file open. */
    void use() {
        Refusal.when(container.type1() == null, EINVAL);
        file.get();
        containerUsers++;
    }

    void unuse() {
        containerUsers--;
        file.put();
    }
}
