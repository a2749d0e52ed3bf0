package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;

/** A group's being in a container. Devices opened meanwhile belong to it, because they keep the group from leaving. */
final class Membership extends Handle {
    private static final Ioctl UNSET_CONTAINER = new Ioctl("VFIO_GROUP_UNSET_CONTAINER",
            vfio_h.VFIO_GROUP_UNSET_CONTAINER());

    private final VfioContainer container;
    private final VfioGroup group;

    Membership(VfioContainer container, VfioGroup group) {
        super(Rank.REGISTRATION);
        this.container = container;
        this.group = group;
    }

    VfioContainer container() {
        return container;
    }

    /** The mappings of a container end with its last group, so they are closed while the kernel still knows them. */
    @Override
    protected boolean quiesce() {
        return Lifecycle.quiesceChildren(this) && closeIommu();
    }

    /** When a mapping was refused to go, the group stays as well: without it nobody could take the mapping back. */
    @Override
    protected boolean settle() {
        return closeIommu();
    }

    private boolean closeIommu() {
        return !container.isLast(this) || container.closeIommu();
    }

    @Override
    protected void release() {
        int result = group.fd().ioctl(UNSET_CONTAINER, 0);
        if (result < 0) {
            throw new KernelException(UNSET_CONTAINER.name(), group, "", result, Errno.EBUSY.is(result)
                    ? "A device of the group is still open: a mapped BAR or a registration with KVM keeps it so"
                    : "");
        }
    }

    @Override
    public String toString() {
        return group + " in " + container;
    }
}
