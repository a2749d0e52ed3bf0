package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EBADFD;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;
import static dev.kvmvfio.kernel.Errno.ENOTTY;

import dev.kvmvfio.bindings.vfio.vfio_group_status;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.mock.internal.iommufd.IommufdFile;
import dev.kvmvfio.mock.internal.kvm.KvmVfioFile;
import dev.kvmvfio.mock.internal.kvm.VirtualMachine;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.system.OpenFile;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** {@code /dev/vfio/N}. */
final class GroupFile extends OpenFile implements KvmVfioFile {
    private static final int LONGEST_NAME = 4096;

    static final IoctlTable<GroupFile> IOCTLS = new IoctlTable<>(GroupFile.class, ENOTTY)
            .on("VFIO_GROUP_GET_STATUS", vfio_h.VFIO_GROUP_GET_STATUS(), vfio_group_status.layout(),
                    GroupFile::getStatus)
            .on("VFIO_GROUP_SET_CONTAINER", vfio_h.VFIO_GROUP_SET_CONTAINER(), GroupFile::setContainer)
            .on("VFIO_GROUP_UNSET_CONTAINER", vfio_h.VFIO_GROUP_UNSET_CONTAINER(), (file, argument) -> {
                file.group.unset();
                return 0;
            })
            .on("VFIO_GROUP_GET_DEVICE_FD", vfio_h.VFIO_GROUP_GET_DEVICE_FD(), GroupFile::getDeviceFd);

    private final VfioPciGroup group;

    GroupFile(VfioPciGroup group) {
        super(group.path());
        this.group = group;
    }

    @Override
    protected IoctlTable<GroupFile> ioctls() {
        return IOCTLS;
    }

    VfioPciGroup group() {
        return group;
    }

    @Override
    public boolean isGroup() {
        return true;
    }

    @Override
    public void setVm(VirtualMachine vm) {
        group.setVm(vm);
    }

    private long getStatus(Argument argument) {
        MemorySegment status = argument.read(0, vfio_group_status.sizeof());
        Refusal.when(Integer.compareUnsigned(vfio_group_status.argsz(status), (int) status.byteSize()) < 0, EINVAL);
        group.requireLife();
        int flags = 0;
        if (group.hasIommu()) {
            flags = vfio_h.VFIO_GROUP_FLAGS_CONTAINER_SET() | vfio_h.VFIO_GROUP_FLAGS_VIABLE();
        } else if (!group.iommuGroup().isOwned()) {
            flags = vfio_h.VFIO_GROUP_FLAGS_VIABLE();
        }
        vfio_group_status.flags(status, flags);
        argument.write(0, status);
        return 0;
    }

    private long setContainer(Argument argument) {
        OpenFile file = group.machine().files().get(argument.readInt(0));
        Refusal.when(group.hasIommu(), EINVAL);
        group.requireLife();
        switch (file) {
            case ContainerFile container -> group.enter(container.container());
            case IommufdFile iommufd -> group.enter(iommufd);
            default -> throw Refusal.of(group.machine().profile().hasCdev() ? EBADFD : EINVAL);
        }
        return 0;
    }

    private long getDeviceFd(Argument argument) {
        VfioPciDevice device = find(readName(argument));
        Refusal.when(!group.hasIommu(), EINVAL);
        return group.machine().files().install(DeviceFile.ofGroup(device));
    }

    private static String readName(Argument argument) {
        StringBuilder name = new StringBuilder();
        for (int i = 0; i < LONGEST_NAME; i++) {
            byte next = argument.read(i, 1).get(ValueLayout.JAVA_BYTE, 0);
            if (next == 0) {
                return name.toString();
            }
            name.append((char) next);
        }
        throw Refusal.of(EINVAL);
    }

    /**
     * Finds a device by its address, which options may follow; the only option is a token, and no device here has
     * one.
     */
    private VfioPciDevice find(String name) {
        for (VfioPciDevice device : group.devices()) {
            String address = device.function().address();
            if (name.equals(address)) {
                return device;
            }
            if (name.startsWith(address + " ")) {
                Refusal.when(!name.substring(address.length()).isBlank(), EINVAL);
                return device;
            }
        }
        throw Refusal.of(ENODEV);
    }

    @Override
    protected void release() {
        group.closed();
    }
}
