package dev.kvmvfio.mock.internal.pci;

import static dev.kvmvfio.kernel.Errno.EBUSY;
import static dev.kvmvfio.kernel.Errno.EPERM;

import dev.kvmvfio.mock.internal.system.Refusal;
import java.util.ArrayList;
import java.util.List;

/** An IOMMU group: devices that the IOMMU cannot tell apart, who owns their DMA, and what it is translated with. */
public final class IsolationGroup {
    private final int number;
    private final List<PciFunction> functions = new ArrayList<>();
    private Object owner;
    private int owners;
    private IovaMap translation;

    IsolationGroup(int number) {
        this.number = number;
    }

    public int number() {
        return number;
    }

    List<PciFunction> functions() {
        return functions;
    }

    /** A driver of the host's own, which does DMA through the kernel, is bound to a device. */
    void useByHost() {
        Refusal.when(owners > 0 && owner != null, EBUSY);
        owners++;
    }

    /** Claims the group for one user alone. */
    public void claim(Object user) {
        Refusal.when(owners > 0, EPERM);
        owner = user;
        owners = 1;
    }

    /** Claims the group for a user that may have it already, by another of its devices. */
    public void share(Object user) {
        Refusal.when(owners > 0 && owner != user, EPERM);
        owner = user;
        owners++;
    }

    public void release() {
        if (--owners == 0) {
            owner = null;
        }
    }

    public boolean isOwned() {
        return owners > 0;
    }

    /** What the devices' addresses mean; null blocks all DMA. */
    IovaMap translation() {
        return translation;
    }

    public void translate(IovaMap map) {
        translation = map;
    }
}
