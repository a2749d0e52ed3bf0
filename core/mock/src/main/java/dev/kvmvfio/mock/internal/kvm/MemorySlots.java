package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EEXIST;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOENT;

import dev.kvmvfio.bindings.kvm.kvm_dirty_log;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region2;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.internal.system.UserMemory;
import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;

/** Which memory of the process is where in the guest. */
public final class MemorySlots {
    static final int USER_SLOTS = 32764;
    /** The ordinary one, and the one of system management mode. */
    static final int ADDRESS_SPACES = 2;
    private static final long MOST_PAGES = (1L << 31) - 1;
    /** What the widest processors can address. */
    private static final long END_OF_MEMORY = 1L << 52;

    private final Machine machine;
    private final Map<Integer, Slot> slots = new HashMap<>();
    /** The pages that the guest wrote to, of each slot that logs them. */
    private final Map<Integer, BitSet> dirtyPages = new HashMap<>();

    MemorySlots(Machine machine) {
        this.machine = machine;
    }

    /** A memory slot. */
    record Slot(int number, long guestAddress, long size, long userAddress, int flags) {
        boolean overlaps(Slot other) {
            return guestAddress < other.guestAddress + other.size && other.guestAddress < guestAddress + size;
        }

        boolean sameAddressSpace(Slot other) {
            return number >>> 16 == other.number >>> 16;
        }

        private boolean logsDirtyPages() {
            return (flags & kvm_h.KVM_MEM_LOG_DIRTY_PAGES()) != 0;
        }

        private boolean readOnly() {
            return (flags & kvm_h.KVM_MEM_READONLY()) != 0;
        }
    }

    Collection<Slot> all() {
        return slots.values();
    }

    void set(MemorySegment region) {
        Slot slot = new Slot(kvm_userspace_memory_region2.slot(region),
                kvm_userspace_memory_region2.guest_phys_addr(region), kvm_userspace_memory_region2.memory_size(region),
                kvm_userspace_memory_region2.userspace_addr(region), kvm_userspace_memory_region2.flags(region));
        check(slot);
        Slot old = slots.get(slot.number);
        if (slot.size == 0) {
            Refusal.when(old == null, EINVAL);
            slots.remove(slot.number);
            dirtyPages.remove(slot.number);
        } else if (!slot.equals(old)) {
            checkChange(old, slot);
            slots.put(slot.number, slot);
            if (slot.logsDirtyPages()) {
                dirtyPages.putIfAbsent(slot.number, new BitSet());
            } else {
                dirtyPages.remove(slot.number);
            }
        }
    }

    private static void check(Slot slot) {
        Refusal.when(!isNumber(slot.number), EINVAL);
        Refusal.when((slot.flags & ~(kvm_h.KVM_MEM_LOG_DIRTY_PAGES() | kvm_h.KVM_MEM_READONLY())) != 0, EINVAL);
        Refusal.when(((slot.size | slot.guestAddress | slot.userAddress) & PhysicalMemory.PAGE - 1) != 0, EINVAL);
        Refusal.when(!UserMemory.isUserRange(slot.userAddress, slot.size), EINVAL);
        Refusal.when(Long.compareUnsigned(slot.guestAddress + slot.size, slot.guestAddress) < 0, EINVAL);
        Refusal.when(slot.size / PhysicalMemory.PAGE > MOST_PAGES, EINVAL);
    }

    private static boolean isNumber(int number) {
        return number >>> 16 < ADDRESS_SPACES && (number & 0xffff) < USER_SLOTS;
    }

    private void checkChange(Slot old, Slot slot) {
        Refusal.when(old != null && (slot.userAddress != old.userAddress || slot.size != old.size
                || slot.readOnly() != old.readOnly()), EINVAL);
        Refusal.when(slots.values().stream()
                .anyMatch(other -> other != old && other.sameAddressSpace(slot) && other.overlaps(slot)), EEXIST);
        boolean placed = old == null || old.guestAddress != slot.guestAddress;
        Refusal.when(placed && Long.compareUnsigned(slot.guestAddress + slot.size, END_OF_MEMORY) > 0, EINVAL);
    }

    /** The log is empty afterwards, also when nobody gets it. */
    long dirtyLog(Argument argument) {
        MemorySegment log = argument.read(0, kvm_dirty_log.sizeof());
        int number = kvm_dirty_log.slot(log);
        Refusal.when(!isNumber(number), EINVAL);
        BitSet dirty = dirtyPages.get(number);
        Refusal.when(dirty == null, ENOENT);
        long words = (slots.get(number).size / PhysicalMemory.PAGE + Long.SIZE - 1) / Long.SIZE;
        MemorySegment bitmap = Argument.allocate(words * Long.BYTES);
        MemorySegment.copy(MemorySegment.ofArray(dirty.toLongArray()), 0, bitmap, 0, dirty.toLongArray().length * 8L);
        dirty.clear();
        machine.userMemory().write(kvm_dirty_log.dirty_bitmap(log).address(), bitmap);
        return 0;
    }

    /**
     * What the guest reads.
     *
     * @return a copy, or null when some of it is no memory
     */
    public MemorySegment read(long guestAddress, long bytes) {
        MemorySegment copy = Argument.allocate(bytes);
        boolean memory = eachPart(guestAddress, bytes, false, (slot, from, offset, length) -> MemorySegment.copy(
                machine.userMemory().read(slot.userAddress + from, length), 0, copy, offset, length));
        return memory ? copy : null;
    }

    /**
     * What the guest writes.
     *
     * @return false when some of it is no memory, or read-only; nothing is written then
     */
    public boolean write(long guestAddress, MemorySegment from) {
        return eachPart(guestAddress, from.byteSize(), true, (slot, to, offset, length) -> {
            machine.userMemory().write(slot.userAddress + to, from.asSlice(offset, length));
            if (slot.logsDirtyPages()) {
                dirtyPages.get(slot.number).set((int) (to / PhysicalMemory.PAGE),
                        (int) ((to + length - 1) / PhysicalMemory.PAGE) + 1);
            }
        });
    }

    /** A piece of what the guest accesses: where in a slot, and where in the whole. */
    private interface Part {
        void access(Slot slot, long inSlot, long offset, long length);
    }

    private boolean eachPart(long guestAddress, long bytes, boolean writing, Part part) {
        return walk(guestAddress, bytes, writing, (_, _, _, _) -> {
        }) && walk(guestAddress, bytes, writing, part);
    }

    private boolean walk(long guestAddress, long bytes, boolean writing, Part part) {
        long offset = 0;
        while (offset < bytes) {
            Slot slot = at(guestAddress + offset);
            if (slot == null || writing && slot.readOnly()) {
                return false;
            }
            long inSlot = guestAddress + offset - slot.guestAddress;
            long length = Math.min(bytes - offset, slot.size - inSlot);
            part.access(slot, inSlot, offset, length);
            offset += length;
        }
        return true;
    }

    /** Code in system management mode is not modelled. */
    private Slot at(long guestAddress) {
        return slots.values().stream().filter(slot -> slot.number >>> 16 == 0
                && Long.compareUnsigned(guestAddress - slot.guestAddress, slot.size) < 0).findFirst().orElse(null);
    }
}
