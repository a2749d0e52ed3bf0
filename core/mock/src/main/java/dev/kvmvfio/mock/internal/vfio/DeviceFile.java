package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOTTY;

import dev.kvmvfio.bindings.vfio.vfio_device_attach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_bind_iommufd;
import dev.kvmvfio.bindings.vfio.vfio_device_detach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_feature;
import dev.kvmvfio.bindings.vfio.vfio_device_info;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_irq_info;
import dev.kvmvfio.bindings.vfio.vfio_irq_set;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset_info;
import dev.kvmvfio.bindings.vfio.vfio_region_info;
import dev.kvmvfio.mock.internal.iommufd.IommufdFile;
import dev.kvmvfio.mock.internal.kvm.KvmVfioFile;
import dev.kvmvfio.mock.internal.kvm.VirtualMachine;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Mapping;
import dev.kvmvfio.mock.internal.system.OpenFile;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;

/**
 * An open VFIO device: by its own node, when it does nothing before it is bound to an iommufd, or from its group, when
 * it works at once.
 */
final class DeviceFile extends OpenFile implements KvmVfioFile {
    private static final int TOKEN_SIZE = 16;

    static final IoctlTable<DeviceFile> IOCTLS = new IoctlTable<>(DeviceFile.class, ENOTTY)
            .on("VFIO_DEVICE_BIND_IOMMUFD", vfio_h.VFIO_DEVICE_BIND_IOMMUFD(), vfio_device_bind_iommufd.layout(),
                    DeviceFile::bind)
            .on("VFIO_DEVICE_ATTACH_IOMMUFD_PT", vfio_h.VFIO_DEVICE_ATTACH_IOMMUFD_PT(),
                    vfio_device_attach_iommufd_pt.layout(), DeviceFile::attach)
            .on("VFIO_DEVICE_DETACH_IOMMUFD_PT", vfio_h.VFIO_DEVICE_DETACH_IOMMUFD_PT(),
                    vfio_device_detach_iommufd_pt.layout(), DeviceFile::detach)
            .on("VFIO_DEVICE_GET_INFO", vfio_h.VFIO_DEVICE_GET_INFO(), vfio_device_info.layout(),
                    (file, argument) -> file.regions.getInfo(argument))
            .on("VFIO_DEVICE_GET_REGION_INFO", vfio_h.VFIO_DEVICE_GET_REGION_INFO(), vfio_region_info.layout(),
                    (file, argument) -> file.regions.getRegionInfo(argument))
            .on("VFIO_DEVICE_GET_IRQ_INFO", vfio_h.VFIO_DEVICE_GET_IRQ_INFO(), vfio_irq_info.layout(),
                    DeviceFile::getIrqInfo)
            .on("VFIO_DEVICE_SET_IRQS", vfio_h.VFIO_DEVICE_SET_IRQS(), vfio_irq_set.layout(),
                    (file, argument) -> file.device.interrupts().set(argument))
            .on("VFIO_DEVICE_RESET", vfio_h.VFIO_DEVICE_RESET(), DeviceFile::reset)
            .on("VFIO_DEVICE_FEATURE", vfio_h.VFIO_DEVICE_FEATURE(), vfio_device_feature.layout(), DeviceFile::feature)
            .on("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", vfio_h.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO(),
                    vfio_pci_hot_reset_info.layout(), (file, argument) -> new HotReset(file.device).getInfo(argument))
            .on("VFIO_DEVICE_PCI_HOT_RESET", vfio_h.VFIO_DEVICE_PCI_HOT_RESET(), vfio_pci_hot_reset.layout(),
                    (file, argument) -> new HotReset(file.device).reset(argument))
            .notModelled("VFIO_DEVICE_IOEVENTFD", vfio_h.VFIO_DEVICE_IOEVENTFD());

    private final VfioPciDevice device;
    private final Machine machine;
    private final VfioRegions regions;
    private final boolean ofGroup;
    private VirtualMachine vm;
    private IommufdFile iommufd;
    private boolean accessible;
    private long position;

    private DeviceFile(String name, VfioPciDevice device, boolean ofGroup) {
        super(name);
        this.device = device;
        this.machine = device.function().machine();
        this.regions = new VfioRegions(device);
        this.ofGroup = ofGroup;
        device.addFile();
    }

    /** Opens a device's own node, which any number of files may do. */
    static DeviceFile ofNode(VfioPciDevice device) {
        return new DeviceFile("/dev/vfio/devices/" + device.name(), device, false);
    }

    /** Opens a device from its group; the device remembers the virtual machine that the group knows then. */
    static DeviceFile ofGroup(VfioPciDevice device) {
        DeviceFile file = new DeviceFile(device.function().address(), device, true);
        VfioPciGroup group = device.group();
        boolean first = !device.isOpen();
        device.knowVm(group.vm());
        try {
            device.open(group.iommufd(), true);
            if (group.iommufd() != null && first) {
                file.attachToCompatIoas(group.iommufd());
            }
        } catch (Refusal refused) {
            device.forgetVm();
            device.removeFile();
            throw refused;
        }
        file.accessible = true;
        return file;
    }

    private void attachToCompatIoas(IommufdFile container) {
        try {
            device.attach(container.compatIoas().id());
        } catch (Refusal refused) {
            device.close();
            throw refused;
        }
    }

    @Override
    protected IoctlTable<DeviceFile> ioctls() {
        return IOCTLS;
    }

    VfioPciDevice device() {
        return device;
    }

    @Override
    public boolean isGroup() {
        return false;
    }

    @Override
    public void setVm(VirtualMachine known) {
        vm = known;
    }

    @Override
    protected long ioctl(long request, Argument argument) {
        boolean binds = request == vfio_h.VFIO_DEVICE_BIND_IOMMUFD() && machine.profile().hasCdev();
        Refusal.when(!accessible && !binds, EINVAL);
        boolean ofNodeOnly = request == vfio_h.VFIO_DEVICE_ATTACH_IOMMUFD_PT()
                || request == vfio_h.VFIO_DEVICE_DETACH_IOMMUFD_PT();
        Refusal.when(ofGroup && (ofNodeOnly || request == vfio_h.VFIO_DEVICE_BIND_IOMMUFD() && !binds), ENOTTY);
        return super.ioctl(request, argument);
    }

    private boolean takesTokens() {
        return machine.isAtLeast(KernelProfile.V7_2);
    }

    /** Older kernels read what they know and no more; newer ones go by the size that the program says. */
    private MemorySegment readBind(Argument argument) {
        long smallest = vfio_device_bind_iommufd.token_uuid_ptr$offset();
        if (!takesTokens()) {
            return argument.read(0, smallest);
        }
        long size = Integer.toUnsignedLong(argument.readInt(0));
        Refusal.when(size < smallest, EINVAL);
        return argument.readStruct(size, vfio_device_bind_iommufd.sizeof());
    }

    private long bind(Argument argument) {
        MemorySegment bind = readBind(argument);
        int smallest = (int) vfio_device_bind_iommufd.token_uuid_ptr$offset();
        int token = takesTokens() ? vfio_h.VFIO_DEVICE_BIND_FLAG_TOKEN() : 0;
        Refusal.when(Integer.compareUnsigned(vfio_device_bind_iommufd.argsz(bind), smallest) < 0
                || (vfio_device_bind_iommufd.flags(bind) & ~token) != 0
                || vfio_device_bind_iommufd.iommufd(bind) < 0, EINVAL);
        Refusal.when(ofGroup, EINVAL);
        device.group().block();
        try {
            open(bind);
        } catch (Refusal refused) {
            device.group().unblock();
            throw refused;
        }
        argument.writeInt(vfio_device_bind_iommufd.out_devid$offset(), device.iommufdDevice().id());
        return 0;
    }

    private void open(MemorySegment bind) {
        Refusal.when(accessible, EINVAL);
        if (vfio_device_bind_iommufd.flags(bind) != 0) {
            machine.userMemory().read(vfio_device_bind_iommufd.token_uuid_ptr(bind), TOKEN_SIZE);
            // No device here is a virtual function or has some, so none wants a token.
            throw Refusal.of(EINVAL);
        }
        IommufdFile bound = IommufdFile.of(machine, vfio_device_bind_iommufd.iommufd(bind));
        device.knowVm(vm);
        try {
            device.open(bound, false);
        } catch (Refusal refused) {
            device.forgetVm();
            throw refused;
        }
        iommufd = bound;
        iommufd.get();
        device.setOpenedByCdev(true);
        accessible = true;
    }

    private long attach(Argument argument) {
        long needed = vfio_device_attach_iommufd_pt.pasid$offset();
        MemorySegment attach = argument.read(0, needed);
        Refusal.when(Integer.compareUnsigned(vfio_device_attach_iommufd_pt.argsz(attach), (int) needed) < 0, EINVAL);
        checkPasid(vfio_device_attach_iommufd_pt.flags(attach), vfio_h.VFIO_DEVICE_ATTACH_PASID());
        int id = vfio_device_attach_iommufd_pt.pt_id(attach);
        argument.writeInt(vfio_device_attach_iommufd_pt.pt_id$offset(), device.attach(id));
        return 0;
    }

    private long detach(Argument argument) {
        long needed = vfio_device_detach_iommufd_pt.pasid$offset();
        MemorySegment detach = argument.read(0, needed);
        Refusal.when(Integer.compareUnsigned(vfio_device_detach_iommufd_pt.argsz(detach), (int) needed) < 0, EINVAL);
        checkPasid(vfio_device_detach_iommufd_pt.flags(detach), vfio_h.VFIO_DEVICE_DETACH_PASID());
        device.detach();
        return 0;
    }

    private void checkPasid(int flags, int pasid) {
        int validFlags = machine.isAtLeast(KernelProfile.V7_2) ? pasid : 0;
        Refusal.when((flags & ~validFlags) != 0, EINVAL);
        if (flags != 0) {
            throw new NotModelledException("a PASID");
        }
    }

    private long getIrqInfo(Argument argument) {
        MemorySegment info = argument.read(0, vfio_irq_info.sizeof());
        int index = vfio_irq_info.index(info);
        Refusal.when(Integer.compareUnsigned(vfio_irq_info.argsz(info), (int) info.byteSize()) < 0
                || Integer.compareUnsigned(index, vfio_h.VFIO_PCI_NUM_IRQS()) >= 0, EINVAL);
        Refusal.when(index == VfioInterrupts.ERROR && device.interrupts().count(index) == 0, EINVAL);
        int flags = vfio_h.VFIO_IRQ_INFO_EVENTFD();
        if (index == VfioInterrupts.INTX) {
            flags |= vfio_h.VFIO_IRQ_INFO_MASKABLE() | vfio_h.VFIO_IRQ_INFO_AUTOMASKED();
        } else if (!device.interrupts().isDynamic(index)) {
            flags |= vfio_h.VFIO_IRQ_INFO_NORESIZE();
        }
        vfio_irq_info.flags(info, flags);
        vfio_irq_info.count(info, device.interrupts().count(index));
        argument.write(0, info);
        return 0;
    }

    private long reset(Argument argument) {
        Refusal.when(!device.function().description().reset(), EINVAL);
        device.function().reset();
        return 0;
    }

    private long feature(Argument argument) {
        MemorySegment feature = argument.read(0, vfio_device_feature.data$offset());
        int flags = vfio_device_feature.flags(feature);
        int get = vfio_h.VFIO_DEVICE_FEATURE_GET();
        int set = vfio_h.VFIO_DEVICE_FEATURE_SET();
        int probe = vfio_h.VFIO_DEVICE_FEATURE_PROBE();
        int mask = vfio_h.VFIO_DEVICE_FEATURE_MASK();
        Refusal.when(Integer.compareUnsigned(vfio_device_feature.argsz(feature), (int) feature.byteSize()) < 0
                || (flags & ~(mask | get | set | probe)) != 0
                || (flags & (get | set | probe)) == (get | set), EINVAL);
        int number = flags & mask;
        boolean lowPower = number == vfio_h.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY()
                || number == vfio_h.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP()
                || number == vfio_h.VFIO_DEVICE_FEATURE_LOW_POWER_EXIT();
        if (number == vfio_h.VFIO_DEVICE_FEATURE_DMA_BUF() && machine.isAtLeast(KernelProfile.V7_2)) {
            throw new NotModelledException("VFIO_DEVICE_FEATURE_DMA_BUF");
        }
        Refusal.when(!lowPower, ENOTTY);
        Refusal.when((flags & get) != 0, EINVAL);
        if ((flags & probe) == 0) {
            Refusal.when((flags & set) == 0, EINVAL);
            throw new NotModelledException("a device's low power state");
        }
        return 0;
    }

    @Override
    protected long read(Buffer buffer) {
        long done = pread(buffer, position);
        position += done;
        return done;
    }

    @Override
    protected long write(Buffer buffer) {
        long done = pwrite(buffer, position);
        position += done;
        return done;
    }

    @Override
    protected long pread(Buffer buffer, long offset) {
        Refusal.when(!accessible || offset < 0, EINVAL);
        return regions.read(buffer, offset);
    }

    @Override
    protected long pwrite(Buffer buffer, long offset) {
        Refusal.when(!accessible || offset < 0, EINVAL);
        return regions.write(buffer, offset);
    }

    @Override
    protected boolean isDevice() {
        return true;
    }

    @Override
    protected Mapping mmap(MappingRequest request) {
        Refusal.when(!accessible, EINVAL);
        return regions.map(request, this);
    }

    @Override
    protected void release() {
        device.removeFile();
        if (accessible) {
            closeDevice();
        }
    }

    private void closeDevice() {
        device.close();
        device.forgetVm();
        if (!ofGroup) {
            device.setOpenedByCdev(false);
            iommufd.put();
            device.group().unblock();
        }
    }
}
