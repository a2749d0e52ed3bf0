package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.E2BIG;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_msr_entry;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msrs;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/** A vCPU's model-specific registers. */
final class Msrs {
    private static final int MOST = 256;
    private static final int NOT_CANONICAL_BITS = 16;
    private static final int SYSENTER_ESP = 0x175;
    private static final int SYSENTER_EIP = 0x176;
    private static final int PAT = 0x277;
    private static final long PAT_RESERVED = 0xf8f8_f8f8_f8f8_f8f8L;
    private static final long PAT_TWOS = 0x0202_0202_0202_0202L;
    /** Those that are kept, as they are after power-on: those of fast calls, of segments, of page attributes. */
    private static final Map<Integer, Long> INITIAL = Map.ofEntries(Map.entry(0x174, 0L), Map.entry(SYSENTER_ESP, 0L),
            Map.entry(SYSENTER_EIP, 0L), Map.entry(PAT, 0x0007_0406_0007_0406L), Map.entry(0xc000_0081, 0L),
            Map.entry(0xc000_0082, 0L), Map.entry(0xc000_0083, 0L), Map.entry(0xc000_0084, 0L),
            Map.entry(0xc000_0100, 0L), Map.entry(0xc000_0101, 0L), Map.entry(0xc000_0102, 0L));
    /** Those of them that hold an address in the upper or the lower half. */
    private static final Set<Integer> ADDRESSES = Set.of(0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0101,
            0xc000_0102);

    private final Cpuid cpuid;
    private final Map<Integer, Long> msrs = new HashMap<>(INITIAL);

    Msrs(Cpuid cpuid) {
        this.cpuid = cpuid;
    }

    long get(Argument argument) {
        return each(argument, (index, entry, offset) -> {
            kvm_msr_entry.data(entry, msrs.get(index));
            argument.write(offset, entry);
            return true;
        });
    }

    long set(Argument argument) {
        return each(argument, (index, entry, _) -> set(index, kvm_msr_entry.data(entry)));
    }

    private boolean set(int index, long value) {
        long canonical = value << NOT_CANONICAL_BITS >> NOT_CANONICAL_BITS;
        if (ADDRESSES.contains(index) && value != canonical || index == PAT && !isPat(value)) {
            return false;
        }
        boolean sysenter = index == SYSENTER_ESP || index == SYSENTER_EIP;
        msrs.put(index, !sysenter ? value : cpuid.hasLongSysenter() ? canonical : canonical & 0xffff_ffffL);
        return true;
    }

    /** Eight types of memory, each in a byte, of which 2 and 3 are none. */
    private static boolean isPat(long value) {
        return (value & PAT_RESERVED) == 0 && ((value & PAT_TWOS) << 1 & ~value) == 0;
    }

    private interface Access {
        /** Says whether the kernel goes on to the next. */
        boolean access(int index, MemorySegment entry, long offset);
    }

    /** The kernel goes as far as it knows the registers and takes the values, and answers how far that was. */
    private long each(Argument argument, Access access) {
        int count = kvm_msrs.nmsrs(argument.read(0, kvm_msrs.sizeof()));
        Refusal.when(Integer.compareUnsigned(count, MOST) >= 0, E2BIG);
        for (int i = 0; i < count; i++) {
            long offset = kvm_msrs.sizeof() + i * kvm_msr_entry.sizeof();
            MemorySegment entry = argument.read(offset, kvm_msr_entry.sizeof());
            int index = kvm_msr_entry.index(entry);
            if (!msrs.containsKey(index) && mayExist(index)) {
                throw new NotModelledException(String.format("an MSR other than the common ones, 0x%x,", index));
            }
            if (!msrs.containsKey(index) || !access.access(index, entry, offset)) {
                return i;
            }
        }
        return count;
    }

    /** Processors and hypervisors have registers in these ranges only. */
    private static boolean mayExist(int index) {
        return index >>> 13 == 0 || index >>> 16 == 0x4000 || index >>> 8 == 0x4b_564d || index >>> 16 == 0xc000
                || index >>> 16 == 0xc001;
    }
}
