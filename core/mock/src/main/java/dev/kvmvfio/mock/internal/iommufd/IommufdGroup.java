package dev.kvmvfio.mock.internal.iommufd;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.mock.internal.pci.IsolationGroup;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.util.ArrayList;
import java.util.List;

/** An IOMMU group in an iommufd: all its devices that are attached have the same page table. */
final class IommufdGroup {
    private final IsolationGroup group;
    private final List<IommufdPciDevice> attached = new ArrayList<>();
    private IommufdHwpt hwpt;

    IommufdGroup(IsolationGroup group) {
        this.group = group;
    }

    IommufdHwpt hwpt() {
        return hwpt;
    }

    boolean isAttached(IommufdPciDevice device) {
        return attached.contains(device);
    }

    void attach(IommufdPciDevice device, IommufdHwpt table) {
        Refusal.when(hwpt != null && hwpt != table, EINVAL);
        table.ioas().reserveFor(device);
        set(table);
        table.addUser();
        attached.add(device);
    }

    private void set(IommufdHwpt table) {
        hwpt = table;
        group.translate(table == null ? null : table.ioas().map());
    }

    /** Moves all attached devices to another page table; answers the one that they leave, or null for the same. */
    IommufdHwpt replace(IommufdPciDevice device, IommufdHwpt table) {
        Refusal.when(!isAttached(device), EINVAL);
        IommufdHwpt old = hwpt;
        if (table == old) {
            return null;
        }
        boolean moves = table.ioas() != old.ioas();
        if (moves) {
            reserveAll(table.ioas());
            attached.forEach(old.ioas()::unreserveFor);
        }
        set(table);
        attached.forEach(_ -> {
            table.addUser();
            old.removeUser();
        });
        return old;
    }

    private void reserveAll(IommufdIoas ioas) {
        try {
            attached.forEach(ioas::reserveFor);
        } catch (Refusal refused) {
            attached.forEach(ioas::unreserveFor);
            throw refused;
        }
    }

    /** Takes a device from its page table, which is the answer. */
    IommufdHwpt detach(IommufdPciDevice device) {
        IommufdHwpt old = hwpt;
        attached.remove(device);
        if (attached.isEmpty()) {
            set(null);
        }
        old.ioas().unreserveFor(device);
        old.removeUser();
        return old;
    }
}
