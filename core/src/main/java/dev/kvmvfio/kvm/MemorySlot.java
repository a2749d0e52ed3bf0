package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_dirty_log;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.PageAlignment;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.MappedMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.BitSet;

/**
 * A range of guest-physical addresses that is backed by memory of this process. Closing it takes the memory out of the
 * guest ({@code KVM_SET_USER_MEMORY_REGION} with a size of 0).
 */
public final class MemorySlot extends Handle {
    private static final Ioctl GET_DIRTY_LOG = new Ioctl("KVM_GET_DIRTY_LOG", kvm_h.KVM_GET_DIRTY_LOG());

    private final Vm vm;
    private final int number;
    private final long guestPhysicalAddress;
    private final MappedMemory memory;
    private final long size;
    private boolean numbered = true;

    MemorySlot(Vm vm, int number, long guestPhysicalAddress, MappedMemory memory, long size) {
        super(Rank.LINK);
        this.vm = vm;
        this.number = number;
        this.guestPhysicalAddress = guestPhysicalAddress;
        this.memory = memory;
        this.size = size;
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
    public long size() {
        return size;
    }

    /**
     * What backs it.
     *
     * @return memory that goes away after this slot
     */
    public MappedMemory memory() {
        return memory;
    }

    /** Whether the number is this slot's until now; guarded by the VM's memory. */
    boolean giveUpNumber() {
        boolean before = numbered;
        numbered = false;
        return before;
    }

    boolean overlaps(long address, long bytes) {
        return address < guestPhysicalAddress + size && guestPhysicalAddress < address + bytes;
    }

    /**
     * {@code KVM_GET_DIRTY_LOG}: which pages the guest wrote to since the slot was added or this was last asked. What
     * the program or a device wrote by itself is not among them.
     *
     * @return a bit for each page, 0 for the slot's first one
     * @throws ClosedException when this slot is closed
     * @throws KernelException when the kernel refuses; {@code ENOENT} when the slot was added without
     *         {@link SlotFlag#DIRTY_LOG}
     * @throws AnswerException when it has a page that the slot has not
     */
    public BitSet dirtyLog() {
        return Lifecycle.lease(this, this::readDirtyLog);
    }

    private BitSet readDirtyLog() {
        FileDescriptor fd = vm.fd();
        long pages = size / PageAlignment.pageSize(fd.kernel());
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bitmap = arena.allocate(ValueLayout.JAVA_LONG, (pages + Long.SIZE - 1) / Long.SIZE);
            MemorySegment log = kvm_dirty_log.allocate(arena);
            kvm_dirty_log.slot(log, number);
            kvm_dirty_log.dirty_bitmap(log, bitmap);
            int result = fd.ioctl(GET_DIRTY_LOG, log);
            if (result < 0) {
                throw new KernelException(GET_DIRTY_LOG.name(), this, "", result,
                        Errno.ENOENT.is(result) ? "Add the memory with SlotFlag.DIRTY_LOG" : "");
            }
            BitSet dirty = BitSet.valueOf(bitmap.asByteBuffer().order(ByteOrder.nativeOrder()).asLongBuffer());
            if (dirty.length() > pages) {
                throw new AnswerException(GET_DIRTY_LOG.name(), this,
                        "page " + (dirty.length() - 1) + " of " + pages + " as written");
            }
            return dirty;
        }
    }

    @Override
    protected void release() {
        vm.memory().remove(this);
    }

    @Override
    public String toString() {
        return String.format("memory slot %d of %s, 0x%x bytes at 0x%x", number, vm, size, guestPhysicalAddress);
    }
}
