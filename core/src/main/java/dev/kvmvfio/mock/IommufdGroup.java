package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import java.util.ArrayList;
import java.util.List;

/** An IOMMU group in an iommufd: all its devices that are attached have the same page table. */
final class IommufdGroup {
    private final IommuGroup group;
    private final List<IommufdDevice> attached = new ArrayList<>();
    private Hwpt hwpt;

    IommufdGroup(IommuGroup group) {
        this.group = group;
    }

    Hwpt hwpt() {
        return hwpt;
    }

    boolean isAttached(IommufdDevice device) {
        return attached.contains(device);
    }

    void attach(IommufdDevice device, Hwpt table) {
        Refusal.when(hwpt != null && hwpt != table, EINVAL);
        table.ioas().reserveFor(device);
        set(table);
        table.addUser();
        attached.add(device);
    }

    private void set(Hwpt table) {
        hwpt = table;
        group.translate(table == null ? null : table.ioas().map());
    }

    /** Moves all attached devices to another page table; answers the one that they leave, or null for the same. */
    Hwpt replace(IommufdDevice device, Hwpt table) {
        Refusal.when(!isAttached(device), EINVAL);
        Hwpt old = hwpt;
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

    private void reserveAll(Ioas ioas) {
        try {
            attached.forEach(ioas::reserveFor);
        } catch (Refusal refused) {
            attached.forEach(ioas::unreserveFor);
            throw refused;
        }
    }

    /** Takes a device from its page table, which is the answer. */
    Hwpt detach(IommufdDevice device) {
        Hwpt old = hwpt;
        attached.remove(device);
        if (attached.isEmpty()) {
            set(null);
        }
        old.ioas().unreserveFor(device);
        old.removeUser();
        return old;
    }
}
