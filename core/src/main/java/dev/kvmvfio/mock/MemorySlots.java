package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.EEXIST;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOENT;

import dev.kvmvfio.bindings.kvm.kvm_dirty_log;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region2;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;

/** Which memory of the process is where in the guest. */
final class MemorySlots {
    static final int USER_SLOTS = 32764;
    /** The ordinary one, and the one of system management mode. */
    static final int ADDRESS_SPACES = 2;
    private static final long MOST_PAGES = (1L << 31) - 1;
    /** What the widest processors can address. */
    private static final long END_OF_MEMORY = 1L << 52;

    private final Machine machine;
    private final Map<Integer, Slot> slots = new HashMap<>();

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
        } else if (!slot.equals(old)) {
            checkChange(old, slot);
            slots.put(slot.number, slot);
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

    /** Answers that nothing was written, because no guest code runs here. */
    long dirtyLog(Argument argument) {
        MemorySegment log = argument.read(0, kvm_dirty_log.sizeof());
        Refusal.when(!isNumber(kvm_dirty_log.slot(log)), EINVAL);
        Slot slot = slots.get(kvm_dirty_log.slot(log));
        Refusal.when(slot == null || !slot.logsDirtyPages(), ENOENT);
        long words = (slot.size / PhysicalMemory.PAGE + 63) / 64;
        MemorySegment bitmap = kvm_dirty_log.dirty_bitmap(log);
        machine.userMemory().write(bitmap.address(), Argument.allocate(words * Long.BYTES));
        return 0;
    }
}
