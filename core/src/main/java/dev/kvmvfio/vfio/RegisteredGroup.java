package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_vfio_spapr_tce;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.OneKernel;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.pci.PciAddress;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A group that KVM knows of, and whose devices can therefore be opened. */
public final class RegisteredGroup extends Registration<VfioGroup> {
    RegisteredGroup(KvmVfioDevice kvmVfio, VfioGroup group) {
        super(kvmVfio, group);
    }

    /**
     * {@code VFIO_GROUP_GET_DEVICE_FD}.
     *
     * @param container the container that the group is in
     * @param address which of the group's devices
     * @return the device, which belongs to this registration
     * @throws IllegalArgumentException when the group is not in that container
     * @throws ClosedException when this registration is closed
     * @throws KernelException when the kernel refuses; {@code ENODEV} when the group has no such device
     */
    public GuestDevice openDevice(VfioContainer container, PciAddress address) {
        Membership member = file().memberOf(container);
        return Lifecycle.lease(this, () -> Lifecycle.lease(member, () -> Lifecycle
                .adopt(new GuestDevice(file().openDeviceFor(true, address), this), member, this)));
    }

    /**
     * {@code KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE}: lets KVM handle the guest's own IOMMU table. PowerPC only.
     *
     * @param table the file that {@code KVM_CREATE_SPAPR_TCE_64} returned
     * @throws IllegalArgumentException when it is of another kernel
     * @throws KernelException when the kernel refuses; {@code ENXIO} on every other architecture
     */
    public void setSpaprTce(FileDescriptor table) {
        OneKernel.require(file().fd(), table);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = kvm_vfio_spapr_tce.allocate(arena);
            int result = file().fd().lend(group -> table.lend(number -> {
                kvm_vfio_spapr_tce.groupfd(request, group);
                kvm_vfio_spapr_tce.tablefd(request, number);
                return kvmVfio().kvmDevice().trySetAttr(kvm_h.KVM_DEV_VFIO_GROUP(),
                        kvm_h.KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE(), request);
            }));
            if (result < 0) {
                throw new KernelException("KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE", kvmVfio(),
                        "group=" + file() + ", table=" + table, result, "");
            }
        }
    }

    /** Other devices may still be opened through this registration, unless it is being closed. */
    @Override
    boolean deviceCloses() {
        return isOpen() || unregister();
    }
}
