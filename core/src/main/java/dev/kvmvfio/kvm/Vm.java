package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_irq_level;
import dev.kvmvfio.bindings.kvm.kvm_msi;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region;
import dev.kvmvfio.internal.ArchitectureAccess;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.PageAlignment;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.internal.VmAccess;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.FileKind;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.MappedMemory;
import dev.kvmvfio.kvm.x86.X86Vm;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Objects;
import java.util.OptionalLong;

/**
 * A virtual machine. Its vCPUs, devices and memory slots belong to it and are closed before it.
 *
 * <p>Only the process that created it may use it; a child process gets {@code EIO}.
 */
public final class Vm extends KvmFile {
    private static final Ioctl CHECK_EXTENSION = new Ioctl("KVM_CHECK_EXTENSION", kvm_h.KVM_CHECK_EXTENSION());
    private static final Ioctl CREATE_VCPU = new Ioctl("KVM_CREATE_VCPU", kvm_h.KVM_CREATE_VCPU());
    private static final Ioctl CREATE_DEVICE = new Ioctl("KVM_CREATE_DEVICE", kvm_h.KVM_CREATE_DEVICE());
    private static final Ioctl SET_USER_MEMORY_REGION = new Ioctl("KVM_SET_USER_MEMORY_REGION",
            kvm_h.KVM_SET_USER_MEMORY_REGION());
    private static final Ioctl CREATE_IRQCHIP = new Ioctl("KVM_CREATE_IRQCHIP", kvm_h.KVM_CREATE_IRQCHIP());
    private static final Ioctl IRQ_LINE = new Ioctl("KVM_IRQ_LINE", kvm_h.KVM_IRQ_LINE());
    private static final Ioctl SIGNAL_MSI = new Ioctl("KVM_SIGNAL_MSI", kvm_h.KVM_SIGNAL_MSI());

    private final Kvm kvm;
    private final GsiRoutes gsiRoutes = new GsiRoutes(this);
    private final BitSet slots = new BitSet();
    private final X86Vm x86;

    Vm(Kvm kvm, FileDescriptor fd) {
        super(fd);
        this.kvm = kvm;
        this.x86 = ArchitectureAccess.x86().vm(new Access());
    }

    /** What the facets see. */
    private final class Access implements VmAccess {
        @Override
        public FileDescriptor fd() {
            return Vm.this.fd();
        }

        @Override
        public void startRoutes(int reserved) {
            gsiRoutes.start(reserved);
        }
    }

    /**
     * What this VM has on x86-64.
     *
     * @return what makes and changes it
     * @throws UnsupportedOperationException on another architecture
     * @throws KernelException when the kernel refuses to say which one it is
     */
    public X86Vm x86() {
        if (architecture() != Architecture.X86_64) {
            throw new UnsupportedOperationException(this + " is not of x86-64");
        }
        return x86;
    }

    /**
     * {@code KVM_CHECK_EXTENSION} on this VM.
     *
     * @param capability one of the {@code KVM_CAP_} numbers
     * @return 0 when the kernel does not have it, otherwise 1 or a number that the capability defines
     * @throws KernelException when the kernel refuses
     */
    public int checkExtension(int capability) {
        return fd().call(CHECK_EXTENSION, capability);
    }

    /**
     * {@code KVM_CREATE_VCPU}, and maps its {@code struct kvm_run} ({@code KVM_GET_VCPU_MMAP_SIZE}).
     *
     * @param id unique within this VM
     * @return the vCPU, which belongs to this VM
     * @throws KernelException when the kernel refuses; {@code EEXIST} when the id is taken, {@code EINVAL} when it is
     *         too large
     */
    public Vcpu createVcpu(int id) {
        int result = fd().ioctl(CREATE_VCPU, id);
        if (result < 0) {
            throw new KernelException(CREATE_VCPU.name(), fd(), "id=" + id, result, "");
        }
        FileDescriptor vcpu = FileDescriptor.own(fd().kernel(), result, FileKind.VCPU, "vCPU " + id);
        try {
            return Lifecycle.adopt(new Vcpu(this, vcpu, id, KvmRun.map(vcpu, kvm.vcpuMmapSize())), this);
        } catch (KernelException failure) {
            vcpu.close();
            throw failure;
        }
    }

    Architecture architecture() {
        return kvm.architecture();
    }

    /** Stops the vCPUs before their memory goes. */
    @Override
    protected void quiesce() {
        Lifecycle.quiesceChildren(this);
    }

    /**
     * {@code KVM_CREATE_DEVICE} with {@code KVM_CREATE_DEVICE_TEST}: asks without creating anything. Needs Linux 3.10.
     *
     * @param type the kind of device
     * @return whether {@link #createDevice} knows it; it may still refuse, for example to create a second one
     * @throws KernelException when the kernel refuses for another reason than not having such a device
     */
    public boolean supports(KvmDeviceType type) {
        MemorySegment request = createDevice(type, kvm_h.KVM_CREATE_DEVICE_TEST());
        int result = fd().ioctl(CREATE_DEVICE, request);
        if (result < 0 && !Errno.ENODEV.is(result)) {
            throw refused(type, result);
        }
        return result == 0;
    }

    /**
     * {@code KVM_CREATE_DEVICE}. Needs Linux 3.10.
     *
     * @param type the kind of device
     * @return the device, which belongs to this VM
     * @throws KernelException when the kernel refuses; {@code ENODEV} when it has no such device, {@code EBUSY} when
     *         this VM has its only one already
     */
    public KvmDevice createDevice(KvmDeviceType type) {
        MemorySegment request = createDevice(type, 0);
        int result = fd().ioctl(CREATE_DEVICE, request);
        if (result < 0) {
            throw refused(type, result);
        }
        String name = "KVM device " + type;
        return Lifecycle.adopt(new KvmDevice(
                FileDescriptor.own(fd().kernel(), kvm_create_device.fd(request), FileKind.KVM_DEVICE, name), type),
                this);
    }

    private static MemorySegment createDevice(KvmDeviceType type, int flags) {
        MemorySegment request = kvm_create_device.allocate(Scratch.begin());
        kvm_create_device.type(request, type.number());
        kvm_create_device.flags(request, flags);
        return request;
    }

    private KernelException refused(KvmDeviceType type, int result) {
        String remedy = switch (Errno.of(-result)) {
            case ENODEV -> "This kernel has no such device: "
                    + (type == KvmDeviceType.VFIO ? "it needs CONFIG_KVM_VFIO" : "it may be of another architecture");
            case EBUSY -> "This VM has one already and cannot have a second";
            default -> "";
        };
        return new KernelException(CREATE_DEVICE.name(), fd(), "type=" + type, result, remedy);
    }

    /**
     * {@code KVM_SET_USER_MEMORY_REGION}: gives the guest a whole memory.
     *
     * @param guestPhysicalAddress where the guest sees it, in bytes; a multiple of the page size
     * @param memory what backs it; it cannot be closed before the slot
     * @param flags what is special about it
     * @return the slot, which belongs to this VM
     * @throws IllegalArgumentException when the address is not page-aligned
     * @throws KernelException when the kernel refuses; {@code EEXIST} when another slot is in the way
     */
    public MemorySlot addMemory(long guestPhysicalAddress, MappedMemory memory, SlotFlag... flags) {
        return addMemory(guestPhysicalAddress, memory, 0, memory.size(), flags);
    }

    /**
     * {@code KVM_SET_USER_MEMORY_REGION}: gives the guest a part of a memory.
     *
     * @param guestPhysicalAddress where the guest sees it, in bytes; a multiple of the page size
     * @param memory what backs it; it cannot be closed before the slot
     * @param offset of the part within the memory, in bytes; a multiple of the page size
     * @param length in bytes; a multiple of the page size
     * @param flags what is special about it
     * @return the slot, which belongs to this VM
     * @throws IllegalArgumentException when anything is not page-aligned or the part reaches outside the memory
     * @throws KernelException when the kernel refuses; {@code EEXIST} when another slot is in the way
     */
    public MemorySlot addMemory(long guestPhysicalAddress, MappedMemory memory, long offset, long length,
            SlotFlag... flags) {
        PageAlignment.check(fd().kernel(), "guest-physical address", guestPhysicalAddress);
        long address = memory.addressOf(offset, length);
        int number = takeSlot();
        int result = setRegion(number, SlotFlag.bits(flags), guestPhysicalAddress, length, address);
        if (result < 0) {
            freeSlot(number);
            throw new KernelException(SET_USER_MEMORY_REGION.name(), fd(),
                    String.format("slot=%d, guest_phys_addr=0x%x, memory_size=0x%x, flags=%s", number,
                            guestPhysicalAddress, length, Arrays.toString(flags)),
                    result, Errno.EEXIST.is(result) ? overlap(guestPhysicalAddress, length) : "");
        }
        return Lifecycle.adopt(new MemorySlot(this, number, guestPhysicalAddress, memory, length), this, memory);
    }

    private String overlap(long guestPhysicalAddress, long length) {
        List<MemorySlot> slots = Lifecycle.children(this, MemorySlot.class).stream()
                .filter(slot -> slot.overlaps(guestPhysicalAddress, length)).toList();
        return slots.isEmpty() ? "KVM itself has memory there" : "It overlaps " + slots;
    }

    void removeSlot(MemorySlot slot) {
        int result = setRegion(slot.number(), 0, slot.guestPhysicalAddress(), 0, 0);
        freeSlot(slot.number());
        if (result < 0) {
            throw new KernelException(SET_USER_MEMORY_REGION.name(), slot, result);
        }
    }

    private int setRegion(int slot, int flags, long guestPhysicalAddress, long size, long address) {
        MemorySegment region = kvm_userspace_memory_region.allocate(Scratch.begin());
        kvm_userspace_memory_region.slot(region, slot);
        kvm_userspace_memory_region.flags(region, flags);
        kvm_userspace_memory_region.guest_phys_addr(region, guestPhysicalAddress);
        kvm_userspace_memory_region.memory_size(region, size);
        kvm_userspace_memory_region.userspace_addr(region, address);
        return fd().ioctl(SET_USER_MEMORY_REGION, region);
    }

    private synchronized int takeSlot() {
        int number = slots.nextClearBit(0);
        slots.set(number);
        return number;
    }

    private synchronized void freeSlot(int number) {
        slots.clear(number);
    }

    /**
     * {@code KVM_CREATE_IRQCHIP}: lets the kernel model the interrupt controllers, on x86-64 a PIC, an IO-APIC and each
     * vCPU's local APIC. It must come before the first vCPU.
     *
     * @throws KernelException when the kernel refuses
     */
    public void createIrqchip() {
        int result = fd().ioctl(CREATE_IRQCHIP, 0);
        if (result < 0) {
            throw new KernelException(CREATE_IRQCHIP.name(), fd(), "", result, irqchipRemedy(result));
        }
        gsiRoutes.start(ArchitectureAccess.x86().irqchipRoutes());
    }

    private static String irqchipRemedy(int result) {
        return switch (Errno.of(-result)) {
            case EEXIST, EINVAL -> "It can be made once, and before the first vCPU";
            case ENOTTY ->
                "This kernel was built without CONFIG_KVM_IOAPIC: call createSplitIrqchip, and model the PIC "
                        + "and the IO-APIC in the program";
            case ENODEV -> "This processor has none that KVM makes this way: create a device such as "
                    + KvmDeviceType.ARM_VGIC_V3;
            default -> "";
        };
    }

    /**
     * {@code KVM_IRQ_LINE}: raises or lowers an interrupt's line. A level-triggered interrupt stays until it is lowered;
     * an edge-triggered one comes when its line rises.
     *
     * @param gsi the global system interrupt
     * @param level whether the line is high
     * @throws KernelException when the kernel refuses
     */
    public void setIrqLine(int gsi, boolean level) {
        MemorySegment line = kvm_irq_level.allocate(Scratch.begin());
        kvm_irq_level.irq(line, gsi);
        kvm_irq_level.level(line, level ? 1 : 0);
        int result = fd().ioctl(IRQ_LINE, line);
        if (result < 0) {
            throw new KernelException(IRQ_LINE.name(), fd(), "irq=" + gsi + ", level=" + level, result,
                    Errno.ENXIO.is(result)
                            ? "The VM has no interrupt controller in the kernel: call createIrqchip first"
                            : "");
        }
    }

    /**
     * {@code KVM_SIGNAL_MSI}: interrupts the guest by a message without a route. Needs Linux 3.5.
     *
     * @param address where the message goes, as the guest programs it into a device
     * @param data what the message says
     * @return how many vCPUs took it; 0 when the one that is meant has its local APIC switched off, or there is no such
     *         one
     * @throws KernelException when the kernel refuses
     */
    public int signalMsi(long address, int data) {
        MemorySegment msi = kvm_msi.allocate(Scratch.begin());
        kvm_msi.address_lo(msi, (int) address);
        kvm_msi.address_hi(msi, (int) (address >>> Integer.SIZE));
        kvm_msi.data(msi, data);
        int result = fd().ioctl(SIGNAL_MSI, msi);
        if (result < 0) {
            throw new KernelException(SIGNAL_MSI.name(), fd(), String.format("address=0x%x, data=0x%x", address, data),
                    result, switch (Errno.of(-result)) {
                        case EINVAL -> "The VM has no interrupt controller in the kernel: call createIrqchip first";
                        case EPERM -> "The VM has no vCPU that could take it";
                        default -> "";
                    });
        }
        return result;
    }

    /**
     * The table of this VM's interrupts.
     *
     * @return the one table, which lives as long as this VM
     * @throws IllegalStateException when neither {@link #createIrqchip} nor {@link X86Vm#createSplitIrqchip} was called
     */
    public GsiRoutes gsiRoutes() {
        if (!gsiRoutes.isStarted()) {
            throw new IllegalStateException(
                    this + " has no interrupt controller: call createIrqchip or createSplitIrqchip first");
        }
        return gsiRoutes;
    }

    GsiRoutes routes() {
        return gsiRoutes;
    }

    /**
     * {@code KVM_IRQFD}: lets the signals of an eventfd interrupt the guest, edge-triggered. Needs an irqchip.
     *
     * @param trigger the eventfd; it stays the caller's, and it cannot serve two irqfds
     * @param gsi the global system interrupt, zero or more; while no route leads anywhere from it, signals are lost
     * @return the irqfd, which belongs to this VM and to the eventfd
     * @throws KernelException when the kernel refuses; the message says what to do
     */
    public IrqFd addIrqFd(EventFd trigger, int gsi) {
        return IrqFd.assign(this, trigger, gsi, null);
    }

    /**
     * {@code KVM_IRQFD} with {@code KVM_IRQFD_FLAG_RESAMPLE}: lets a signal raise a level-triggered interrupt. When the
     * guest is done with it, the line falls and {@code resample} is signalled, so that whoever raised it can look
     * whether it must rise again. Needs {@link #createIrqchip} and Linux 3.7.
     *
     * @param trigger the eventfd that raises it; it stays the caller's, and it cannot serve two irqfds
     * @param gsi the global system interrupt, zero or more
     * @param resample the eventfd that the kernel signals; it stays the caller's
     * @return the irqfd, which belongs to this VM and to both eventfds
     * @throws KernelException when the kernel refuses; the message says what to do
     */
    public IrqFd addIrqFd(EventFd trigger, int gsi, EventFd resample) {
        return IrqFd.assign(this, trigger, gsi, Objects.requireNonNull(resample));
    }

    /**
     * {@code KVM_IOEVENTFD}: lets a guest's write of any value signal an eventfd.
     *
     * @param eventFd what is signalled; it stays the caller's
     * @param address where the guest writes
     * @param length of the write, 1, 2, 4 or 8 bytes (8 not for a port), or 0 for any
     * @return the ioeventfd, which belongs to this VM and to the eventfd
     * @throws IllegalArgumentException when no write has that length
     * @throws KernelException when the kernel refuses; {@code EEXIST} when there is an ioeventfd for such a write
     */
    public IoEventFd addIoEventFd(EventFd eventFd, IoAddress address, int length) {
        return IoEventFd.assign(this, eventFd, address, length, OptionalLong.empty());
    }

    /**
     * {@code KVM_IOEVENTFD} with {@code KVM_IOEVENTFD_FLAG_DATAMATCH}: lets a guest's write of one value signal an
     * eventfd.
     *
     * @param eventFd what is signalled; it stays the caller's
     * @param address where the guest writes
     * @param length of the write, 1, 2, 4 or 8 bytes (8 not for a port)
     * @param dataMatch the value, unsigned and of that length
     * @return the ioeventfd, which belongs to this VM and to the eventfd
     * @throws IllegalArgumentException when no write has that length, or the value does not fit in
     * @throws KernelException when the kernel refuses; {@code EEXIST} when there is an ioeventfd for such a write
     */
    public IoEventFd addIoEventFd(EventFd eventFd, IoAddress address, int length, long dataMatch) {
        return IoEventFd.assign(this, eventFd, address, length, OptionalLong.of(dataMatch));
    }

    List<IoEventFd> ioEventFds() {
        return Lifecycle.children(this, IoEventFd.class);
    }
}
