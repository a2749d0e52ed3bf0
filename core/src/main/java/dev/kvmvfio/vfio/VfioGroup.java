package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_group_status;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.internal.Holders;
import dev.kvmvfio.internal.DeviceNode;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Remedy;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.FileKind;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.pci.IommuGroup;
import dev.kvmvfio.pci.PciAddress;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * An IOMMU group's file, {@code /dev/vfio/N}: the older interface to VFIO. It can be open only once in the whole
 * system. Needs a kernel built with {@code CONFIG_VFIO_GROUP}.
 *
 * <p>Its devices can be opened when it is in a container, and for a VM through
 * {@link KvmVfioDevice#add(VfioGroup)}. Closing it takes it out of the container ({@code VFIO_GROUP_UNSET_CONTAINER}).
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class VfioGroup extends VfioFile {
    private static final Ioctl GET_STATUS = new Ioctl("VFIO_GROUP_GET_STATUS", vfio_h.VFIO_GROUP_GET_STATUS());
    private static final Ioctl GET_DEVICE_FD = new Ioctl("VFIO_GROUP_GET_DEVICE_FD", vfio_h.VFIO_GROUP_GET_DEVICE_FD());

    private final IommuGroup group;

    private VfioGroup(FileDescriptor fd, IommuGroup group) {
        super(fd);
        this.group = group;
    }

    /**
     * Opens a group and checks that it is viable ({@code VFIO_GROUP_GET_STATUS}).
     *
     * @param group the group
     * @return the open group, owned by the caller
     * @throws KernelException when it cannot be opened; {@code EBUSY} when it is open elsewhere
     * @throws HostException when it is not viable; the message lists its devices and which of them block it
     */
    public static VfioGroup open(IommuGroup group) {
        Kernel kernel = group.kernel();
        FileDescriptor fd = DeviceNode.open(kernel, "/dev/vfio/" + group.number(),
                errno -> openRemedy(group, errno));
        return Lifecycle.complete(Lifecycle.root(new VfioGroup(fd, group), fd), VfioGroup::checkViable);
    }

    private void checkViable() {
        if ((status() & vfio_h.VFIO_GROUP_FLAGS_VIABLE()) == 0) {
            throw notViable(group);
        }
    }

    private static String openRemedy(IommuGroup group, Errno errno) {
        return switch (errno) {
            case EBUSY -> "It can be open only once: it is open here or in another process, or one of its devices is "
                    + "bound through its cdev" + Holders.suffix(group.kernel(), "/dev/vfio/" + group.number());
            case ENOENT -> "Bind a device of the group to vfio-pci, and load the module vfio; a container needs "
                    + "--device with this path. The group has " + group.describe();
            case ENODEV -> "No device of the group is bound to a VFIO driver: " + group.describe();
            default -> "";
        };
    }

    static HostException notViable(IommuGroup group) {
        return new HostException(group + " is not viable" + Remedy.of(() -> ": " + group.describe()),
                "Bind the devices that block it to vfio-pci or to no driver, then try again");
    }

    /**
     * {@code VFIO_GROUP_GET_STATUS}.
     *
     * @return {@code VFIO_GROUP_FLAGS_} bits
     * @throws KernelException when the kernel refuses
     */
    public int status() {
        MemorySegment status = vfio_group_status.allocate(Scratch.begin());
        vfio_group_status.argsz(status, (int) status.byteSize());
        fd().call(GET_STATUS, status);
        return vfio_group_status.flags(status);
    }

    /**
     * {@code VFIO_GROUP_GET_DEVICE_FD} without a VM knowing of it, as a driver in user space does. A device for a VM is opened through
     * {@link KvmVfioDevice#add(VfioGroup)} instead.
     *
     * @param container the container that this group is in
     * @param address which of the group's devices
     * @return the device, which belongs to this group
     * @throws IllegalArgumentException when this group is not in that container
     * @throws KernelException when the kernel refuses; {@code ENODEV} when the group has no such device
     */
    public VfioDevice openDeviceWithoutKvm(VfioContainer container, PciAddress address) {
        return Lifecycle.lease(memberOf(container), () -> Lifecycle
                .adopt(new VfioDevice(openDeviceFor(false, address)), memberOf(container), this));
    }

    /** This group's being in a container: what a device that is opened meanwhile belongs to as well. */
    Membership memberOf(VfioContainer container) {
        return Lifecycle.children(this, Membership.class).stream().filter(member -> member.container() == container)
                .findFirst().orElseThrow(() -> notIn(container));
    }

    private RuntimeException notIn(VfioContainer container) {
        return isOpen() && container.isOpen()
                ? new IllegalArgumentException(this + " is not in " + container + ": add it there first")
                : new ClosedException(isOpen() ? container : this);
    }

    FileDescriptor openDeviceFor(boolean forVm, PciAddress address) {
        int result = askForDevice(address);
        if (result < 0) {
            String remedy = Remedy.of(() -> switch (Errno.of(-result)) {
                case ENODEV -> "The group's devices are " + group.describe();
                case EINVAL ->
                    forVm ? "" : "Its driver may work for a VM only: register the group with KVM";
                default -> "";
            });
            throw new KernelException(GET_DEVICE_FD.name(), this, "name=" + address, result, remedy);
        }
        return FileDescriptor.own(fd().kernel(), result, FileKind.VFIO_DEVICE, address.toString());
    }

    private int askForDevice(PciAddress address) {
        try (Arena arena = Arena.ofConfined()) {
            return fd().ioctl(GET_DEVICE_FD, arena.allocateFrom(address.toString()));
        }
    }

    /**
     * What sysfs says of the group.
     *
     * @return as it was opened
     */
    public IommuGroup iommuGroup() {
        return group;
    }

    /** The kernel would take it, and a device that is open already would never learn of the VM. */
    @Override
    void checkRegistration(KvmVfioDevice kvmVfio) {
        Lifecycle.children(this, VfioDevice.class).stream().findFirst().ifPresent(device -> {
            throw new IllegalStateException(
                    device + " of " + this + " was opened without KVM, and KVM must know of the group before that");
        });
        super.checkRegistration(kvmVfio);
    }

}
