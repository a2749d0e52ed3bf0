package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.PageAlignment;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.MappedMemory;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/**
 * What a virtual machine has for memory, in slots: {@link Vm#memory()}.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class VmMemory {
    private static final Ioctl SET_USER_MEMORY_REGION = new Ioctl("KVM_SET_USER_MEMORY_REGION",
            kvm_h.KVM_SET_USER_MEMORY_REGION());

    private final Vm vm;
    private final BitSet numbers = new BitSet();

    VmMemory(Vm vm) {
        this.vm = vm;
    }

    /**
     * {@code KVM_SET_USER_MEMORY_REGION}: gives the guest a whole memory.
     *
     * @param guestPhysicalAddress where the guest sees it, in bytes; a multiple of the page size
     * @param memory what backs it; it cannot be closed before the slot
     * @param flags what is special about it
     * @return the slot, which belongs to the VM
     * @throws IllegalArgumentException when the address is not page-aligned
     * @throws KernelException when the kernel refuses; {@code EEXIST} when another slot is in the way
     */
    public MemorySlot add(long guestPhysicalAddress, MappedMemory memory, SlotFlag... flags) {
        return add(guestPhysicalAddress, memory, 0, memory.size(), flags);
    }

    /**
     * {@code KVM_SET_USER_MEMORY_REGION}: gives the guest a part of a memory.
     *
     * @param guestPhysicalAddress where the guest sees it, in bytes; a multiple of the page size
     * @param memory what backs it; it cannot be closed before the slot
     * @param offset of the part within the memory, in bytes; a multiple of the page size
     * @param size in bytes; a multiple of the page size
     * @param flags what is special about it
     * @return the slot, which belongs to the VM
     * @throws IllegalArgumentException when anything is not page-aligned or the part reaches outside the memory
     * @throws KernelException when the kernel refuses; {@code EEXIST} when another slot is in the way
     */
    public MemorySlot add(long guestPhysicalAddress, MappedMemory memory, long offset, long size,
            SlotFlag... flags) {
        PageAlignment.check(vm.fd().kernel(), "guest-physical address", guestPhysicalAddress);
        long address = memory.addressOf(offset, size);
        int number = takeNumber();
        int result = setRegion(number, SlotFlag.bits(flags), guestPhysicalAddress, size, address);
        if (result < 0) {
            freeNumber(number);
            throw new KernelException(SET_USER_MEMORY_REGION.name(), vm.fd(),
                    String.format("slot=%d, guest_phys_addr=0x%x, memory_size=0x%x, flags=%s", number,
                            guestPhysicalAddress, size, Arrays.toString(flags)),
                    result, Errno.EEXIST.is(result) ? overlap(guestPhysicalAddress, size) : "");
        }
        return Lifecycle.adopt(new MemorySlot(vm, number, guestPhysicalAddress, memory, size), vm, memory);
    }

    private String overlap(long guestPhysicalAddress, long size) {
        List<MemorySlot> slots = Lifecycle.children(vm, MemorySlot.class).stream()
                .filter(slot -> slot.overlaps(guestPhysicalAddress, size)).toList();
        return slots.isEmpty() ? "KVM itself has memory there" : "It overlaps " + slots;
    }

    void remove(MemorySlot slot) {
        int result = setRegion(slot.number(), 0, slot.guestPhysicalAddress(), 0, 0);
        freeNumber(slot.number());
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
        return vm.fd().ioctl(SET_USER_MEMORY_REGION, region);
    }

    private synchronized int takeNumber() {
        int number = numbers.nextClearBit(0);
        numbers.set(number);
        return number;
    }

    private synchronized void freeNumber(int number) {
        numbers.clear(number);
    }
}
