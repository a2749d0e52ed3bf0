package dev.kvmvfio.kvm;

import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.MappedMemory;

/**
 * A range of guest-physical addresses that is backed by memory of this process. Closing it takes the memory out of the
 * guest.
 */
public final class MemorySlot extends Handle {
    private final Vm vm;
    private final int number;
    private final long guestPhysicalAddress;
    private final MappedMemory memory;
    private final long length;

    MemorySlot(Vm vm, int number, long guestPhysicalAddress, MappedMemory memory, long length) {
        this.vm = vm;
        this.number = number;
        this.guestPhysicalAddress = guestPhysicalAddress;
        this.memory = memory;
        this.length = length;
    }

    /**
     * The slot's number, which is free again after the close.
     *
     * @return unique within the VM
     */
    public int number() {
        return number;
    }

    /**
     * Where the guest sees it.
     *
     * @return a guest-physical address in bytes
     */
    public long guestPhysicalAddress() {
        return guestPhysicalAddress;
    }

    /**
     * How much the guest sees.
     *
     * @return bytes
     */
    public long length() {
        return length;
    }

    /**
     * What backs it.
     *
     * @return memory that cannot go away while this slot is open
     */
    public MappedMemory memory() {
        return memory;
    }

    @Override
    protected void release() {
        vm.removeSlot(this);
    }

    @Override
    public String toString() {
        return String.format("memory slot %d of %s, 0x%x bytes at 0x%x", number, vm, length, guestPhysicalAddress);
    }
}
