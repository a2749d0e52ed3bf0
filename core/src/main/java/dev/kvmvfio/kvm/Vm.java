package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.MappedMemory;
import dev.kvmvfio.kernel.PageAlignment;
import dev.kvmvfio.kernel.Scratch;
import java.lang.foreign.MemorySegment;
import java.util.BitSet;

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

    private final BitSet slots = new BitSet();

    Vm(FileDescriptor fd) {
        super(fd);
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
     * {@code KVM_CREATE_VCPU}.
     *
     * @param id unique within this VM
     * @return the vCPU, which belongs to this VM
     * @throws KernelException when the kernel refuses; {@code EEXIST} when the id is taken, {@code EINVAL} when it is
     *         too large
     */
    public Vcpu createVcpu(int id) {
        int result = fd().ioctl(CREATE_VCPU.request(), id);
        if (result < 0) {
            throw new KernelException(CREATE_VCPU.name(), fd(), "id=" + id, result, "");
        }
        return adopt(new Vcpu(FileDescriptor.own(fd().kernel(), result, "vCPU " + id), id));
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
        int result = fd().ioctl(CREATE_DEVICE.request(), request);
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
        int result = fd().ioctl(CREATE_DEVICE.request(), request);
        if (result < 0) {
            throw refused(type, result);
        }
        String name = "KVM device " + type;
        return adopt(new KvmDevice(FileDescriptor.own(fd().kernel(), kvm_create_device.fd(request), name), type));
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
     * @return the slot, which belongs to this VM
     * @throws IllegalArgumentException when the address is not page-aligned
     * @throws KernelException when the kernel refuses; {@code EEXIST} when another slot is in the way
     */
    public MemorySlot addMemory(long guestPhysicalAddress, MappedMemory memory) {
        return addMemory(guestPhysicalAddress, memory, 0, memory.size(), 0);
    }

    /**
     * {@code KVM_SET_USER_MEMORY_REGION}: gives the guest a part of a memory.
     *
     * @param guestPhysicalAddress where the guest sees it, in bytes; a multiple of the page size
     * @param memory what backs it; it cannot be closed before the slot
     * @param offset of the part within the memory, in bytes; a multiple of the page size
     * @param length in bytes; a multiple of the page size
     * @param flags {@code KVM_MEM_} bits: read-only, dirty log
     * @return the slot, which belongs to this VM
     * @throws IllegalArgumentException when anything is not page-aligned or the part reaches outside the memory
     * @throws KernelException when the kernel refuses; {@code EEXIST} when another slot is in the way
     */
    public MemorySlot addMemory(long guestPhysicalAddress, MappedMemory memory, long offset, long length, int flags) {
        PageAlignment.check(fd().kernel(), "guest-physical address", guestPhysicalAddress);
        long address = memory.addressOf(offset, length);
        int number = takeSlot();
        int result = setRegion(number, flags, guestPhysicalAddress, length, address);
        if (result < 0) {
            freeSlot(number);
            throw new KernelException(SET_USER_MEMORY_REGION.name(), fd(),
                    String.format("slot=%d, guest_phys_addr=0x%x, memory_size=0x%x, flags=%d", number,
                            guestPhysicalAddress, length, flags),
                    result, Errno.EEXIST.is(result) ? "It overlaps one of " + children() : "");
        }
        return memory.adopt(adopt(new MemorySlot(this, number, guestPhysicalAddress, memory, length)));
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
        return fd().ioctl(SET_USER_MEMORY_REGION.request(), region);
    }

    private synchronized int takeSlot() {
        int number = slots.nextClearBit(0);
        slots.set(number);
        return number;
    }

    private synchronized void freeSlot(int number) {
        slots.clear(number);
    }
}
