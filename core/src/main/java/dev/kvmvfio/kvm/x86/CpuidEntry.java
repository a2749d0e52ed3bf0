package dev.kvmvfio.kvm.x86;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid_entry2;
import dev.kvmvfio.internal.Answer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.List;

/**
 * What the instruction {@code CPUID} answers for one function and index ({@code struct kvm_cpuid_entry2}).
 *
 * @param function what is in EAX when the guest asks
 * @param index what is in ECX, when the flags say that it matters
 * @param flags {@code KVM_CPUID_FLAG_} bits
 * @param eax the answer in EAX
 * @param ebx the answer in EBX
 * @param ecx the answer in ECX
 * @param edx the answer in EDX
 */
public record CpuidEntry(int function, int index, int flags, int eax, int ebx, int ecx, int edx) {
    private static final int FEATURES = 0x1;
    private static final int TOPOLOGY = 0xb;
    private static final int TOPOLOGY_V2 = 0x1f;
    private static final int AMD_TOPOLOGY = 0x8000_001e;

    /** This answer on the vCPU that has this APIC id. */
    CpuidEntry withApicId(int id) {
        return switch (function) {
            case FEATURES -> new CpuidEntry(function, index, flags, eax, ebx & 0x00ff_ffff | id << 24, ecx, edx);
            case TOPOLOGY, TOPOLOGY_V2 -> new CpuidEntry(function, index, flags, eax, ebx, ecx, id);
            case AMD_TOPOLOGY -> new CpuidEntry(function, index, flags, id, ebx, ecx, edx);
            default -> this;
        };
    }

    /** A {@code struct kvm_cpuid2} with room for so many entries. */
    static MemorySegment allocate(SegmentAllocator memory, int entries) {
        MemorySegment cpuid = memory.allocate(kvm_cpuid2.sizeof() + entries * kvm_cpuid_entry2.sizeof(), Long.BYTES);
        kvm_cpuid2.nent(cpuid, entries);
        return cpuid;
    }

    static List<CpuidEntry> read(Answer answer, MemorySegment cpuid) {
        return answer.array("entries", kvm_cpuid2.nent(cpuid), cpuid.asSlice(kvm_cpuid2.sizeof()),
                kvm_cpuid_entry2.sizeof(), CpuidEntry::readEntry);
    }

    private static CpuidEntry readEntry(MemorySegment entry) {
        return new CpuidEntry(kvm_cpuid_entry2.function(entry), kvm_cpuid_entry2.index(entry),
                kvm_cpuid_entry2.flags(entry), kvm_cpuid_entry2.eax(entry), kvm_cpuid_entry2.ebx(entry),
                kvm_cpuid_entry2.ecx(entry), kvm_cpuid_entry2.edx(entry));
    }

    static MemorySegment write(SegmentAllocator memory, List<CpuidEntry> entries) {
        MemorySegment cpuid = allocate(memory, entries.size());
        for (int i = 0; i < entries.size(); i++) {
            entries.get(i).write(entry(cpuid, i));
        }
        return cpuid;
    }

    private void write(MemorySegment entry) {
        kvm_cpuid_entry2.function(entry, function);
        kvm_cpuid_entry2.index(entry, index);
        kvm_cpuid_entry2.flags(entry, flags);
        kvm_cpuid_entry2.eax(entry, eax);
        kvm_cpuid_entry2.ebx(entry, ebx);
        kvm_cpuid_entry2.ecx(entry, ecx);
        kvm_cpuid_entry2.edx(entry, edx);
    }

    private static MemorySegment entry(MemorySegment cpuid, long index) {
        return cpuid.asSlice(kvm_cpuid2.sizeof() + index * kvm_cpuid_entry2.sizeof(), kvm_cpuid_entry2.sizeof());
    }

    @Override
    public String toString() {
        return String.format("CPUID 0x%x.%x: eax=0x%x ebx=0x%x ecx=0x%x edx=0x%x", function, index, eax, ebx, ecx,
                edx);
    }
}
