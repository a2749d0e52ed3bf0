package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.OneKernel;
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
     * @param memory what backs it; closing it closes the slot, and takes it from a guest that runs
     * @param flags what is special about it
     * @return the slot, which belongs to the VM and to the memory
     * @throws IllegalArgumentException when the address is not page-aligned, or the memory is of another kernel
     * @throws KernelException when the kernel refuses; {@code EEXIST} when another slot is in the way
     */
    public MemorySlot add(long guestPhysicalAddress, MappedMemory memory, SlotFlag... flags) {
        return add(guestPhysicalAddress, memory, 0, memory.size(), flags);
    }

    /**
     * {@code KVM_SET_USER_MEMORY_REGION}: gives the guest a part of a memory.
     *
     * @param guestPhysicalAddress where the guest sees it, in bytes; a multiple of the page size
     * @param memory what backs it; closing it closes the slot, and takes it from a guest that runs
     * @param offset of the part within the memory, in bytes; a multiple of the page size
     * @param size in bytes; a multiple of the page size
     * @param flags what is special about it
     * @return the slot, which belongs to the VM and to the memory
     * @throws IllegalArgumentException when anything is not page-aligned, the part reaches outside the memory, or the
     *         memory is of another kernel
     * @throws KernelException when the kernel refuses; {@code EEXIST} when another slot is in the way
     */
    public MemorySlot add(long guestPhysicalAddress, MappedMemory memory, long offset, long size,
            SlotFlag... flags) {
        PageAlignment.check(vm.fd().kernel(), "guest-physical address", guestPhysicalAddress);
        OneKernel.require(vm.fd(), memory);
        long address = memory.addressOf(offset, size);
        MemorySlot slot = new MemorySlot(vm, takeNumber(), guestPhysicalAddress, memory, size);
        try {
            return Lifecycle.make(slot, () -> set(slot, address, flags), vm, memory);
        } catch (Throwable failure) {
            if (Lifecycle.isClosed(slot)) {
                free(slot);
            }
            throw failure;
        }
    }

    private void set(MemorySlot slot, long address, SlotFlag... flags) {
        int result = setRegion(slot.number(), SlotFlag.bits(flags), slot.guestPhysicalAddress(), slot.size(), address);
        if (result < 0) {
            throw new KernelException(SET_USER_MEMORY_REGION.name(), vm.fd(),
                    String.format("slot=%d, guest_phys_addr=0x%x, memory_size=0x%x, flags=%s", slot.number(),
                            slot.guestPhysicalAddress(), slot.size(), Arrays.toString(flags)),
                    result, Errno.EEXIST.is(result) ? overlap(slot.guestPhysicalAddress(), slot.size()) : "");
        }
    }

    private String overlap(long guestPhysicalAddress, long size) {
        List<MemorySlot> slots = Lifecycle.children(vm, MemorySlot.class).stream()
                .filter(slot -> slot.overlaps(guestPhysicalAddress, size)).toList();
        return slots.isEmpty() ? "KVM itself has memory there" : "It overlaps " + slots;
    }

    /** A number is free when the kernel has let go of it. */
    void remove(MemorySlot slot) {
        int result = setRegion(slot.number(), 0, slot.guestPhysicalAddress(), 0, 0);
        if (result < 0) {
            throw new KernelException(SET_USER_MEMORY_REGION.name(), slot, result);
        }
        free(slot);
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

    /** Once for each slot: the number may be another one's by now. */
    private synchronized void free(MemorySlot slot) {
        if (slot.giveUpNumber()) {
            numbers.clear(slot.number());
        }
    }
}
