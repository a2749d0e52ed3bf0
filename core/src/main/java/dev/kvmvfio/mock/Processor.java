package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.E2BIG;
import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_mp_state;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid_entry2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_dtable;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msr_entry;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msrs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_segment;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;

/** A vCPU's registers, which a program reads and writes. They begin as a real one's after power-on. */
final class Processor {
    private static final int MOST_CPUID_ENTRIES = 256;
    private static final int MOST_MSRS = 256;
    private static final long RESERVED_FLAG = 2;
    private static final long INTERRUPT_FLAG = 1 << 9;
    private static final long APIC_BASE = 0xfee0_0800L;
    private static final long BOOT_PROCESSOR = 1 << 8;

    private static final long CR0_PE = 1;
    private static final long CR0_NW = 1L << 29;
    private static final long CR0_CD = 1L << 30;
    private static final long CR0_PG = 1L << 31;
    private static final long CR4_PAE = 1 << 5;
    private static final long EFER_LME = 1 << 8;
    private static final long EFER_LMA = 1 << 10;

    /** The MSRs that are kept, as they are after power-on: those of fast calls, of segments, of page attributes. */
    private static final Map<Integer, Long> MSRS = Map.ofEntries(Map.entry(0x174, 0L), Map.entry(0x175, 0L),
            Map.entry(0x176, 0L), Map.entry(0x277, 0x0007_0406_0007_0406L), Map.entry(0xc000_0081, 0L),
            Map.entry(0xc000_0082, 0L), Map.entry(0xc000_0083, 0L), Map.entry(0xc000_0084, 0L),
            Map.entry(0xc000_0100, 0L), Map.entry(0xc000_0101, 0L), Map.entry(0xc000_0102, 0L));

    private final InterruptController interrupts;
    private final MemorySegment regs = Argument.allocate(kvm_regs.sizeof());
    private final MemorySegment sregs = Argument.allocate(kvm_sregs.sizeof());
    private final Map<Integer, Long> msrs = new HashMap<>(MSRS);
    private int mpState = kvm_h.KVM_MP_STATE_RUNNABLE();
    private boolean hasRun;

    Processor(InterruptController interrupts, int id) {
        this.interrupts = interrupts;
        boolean boots = id == 0;
        if (interrupts.exists() && !boots) {
            mpState = kvm_h.KVM_MP_STATE_UNINITIALIZED();
        }
        kvm_regs.rip(regs, 0xfff0);
        kvm_regs.rdx(regs, 0x600);
        kvm_regs.rflags(regs, RESERVED_FLAG);
        segment(kvm_sregs.cs(sregs), 11, 1);
        kvm_segment.base(kvm_sregs.cs(sregs), 0xffff_0000L);
        kvm_segment.selector(kvm_sregs.cs(sregs), (short) 0xf000);
        for (MemorySegment data : new MemorySegment[]{kvm_sregs.ds(sregs), kvm_sregs.es(sregs), kvm_sregs.fs(sregs),
            kvm_sregs.gs(sregs), kvm_sregs.ss(sregs)}) {
            segment(data, 3, 1);
        }
        segment(kvm_sregs.tr(sregs), 11, 0);
        segment(kvm_sregs.ldt(sregs), 2, 0);
        kvm_dtable.limit(kvm_sregs.gdt(sregs), (short) 0xffff);
        kvm_dtable.limit(kvm_sregs.idt(sregs), (short) 0xffff);
        kvm_sregs.cr0(sregs, 0x6000_0010);
        kvm_sregs.apic_base(sregs, APIC_BASE | (boots ? BOOT_PROCESSOR : 0));
    }

    private static void segment(MemorySegment segment, int type, int ordinary) {
        kvm_segment.limit(segment, 0xffff);
        kvm_segment.type(segment, (byte) type);
        kvm_segment.present(segment, (byte) 1);
        kvm_segment.s(segment, (byte) ordinary);
    }

    long getRegs(Argument argument) {
        argument.write(0, regs);
        return 0;
    }

    long setRegs(Argument argument) {
        regs.copyFrom(argument.read(0, kvm_regs.sizeof()));
        kvm_regs.rflags(regs, kvm_regs.rflags(regs) | RESERVED_FLAG);
        return 0;
    }

    long getSregs(Argument argument) {
        argument.write(0, sregs);
        return 0;
    }

    long setSregs(Argument argument) {
        MemorySegment wanted = argument.read(0, kvm_sregs.sizeof());
        Refusal.when(!isConsistent(wanted), EINVAL);
        sregs.copyFrom(wanted);
        return 0;
    }

    private static boolean isConsistent(MemorySegment wanted) {
        long cr0 = kvm_sregs.cr0(wanted);
        long efer = kvm_sregs.efer(wanted);
        boolean paging = (cr0 & CR0_PG) != 0;
        boolean longMode = (efer & EFER_LME) != 0 && paging;
        boolean modes = longMode
                ? (kvm_sregs.cr4(wanted) & CR4_PAE) != 0 && (efer & EFER_LMA) != 0
                : (efer & EFER_LMA) == 0 && kvm_segment.l(kvm_sregs.cs(wanted)) == 0;
        return modes && cr0 >>> 32 == 0 && ((cr0 & CR0_NW) == 0 || (cr0 & CR0_CD) != 0)
                && (!paging || (cr0 & CR0_PE) != 0);
    }

    long setCpuid(Argument argument) {
        int entries = kvm_cpuid2.nent(argument.read(0, kvm_cpuid2.sizeof()));
        Refusal.when(Integer.compareUnsigned(entries, MOST_CPUID_ENTRIES) > 0, E2BIG);
        argument.read(kvm_cpuid2.sizeof(), entries * kvm_cpuid_entry2.sizeof());
        if (hasRun) {
            throw new NotModelledException("KVM_SET_CPUID2 of a vCPU that has run");
        }
        return 0;
    }

    long getMsrs(Argument argument) {
        return eachMsr(argument, (entry, index) -> {
            kvm_msr_entry.data(entry, msrs.get(index));
            return true;
        });
    }

    long setMsrs(Argument argument) {
        return eachMsr(argument, (entry, index) -> {
            msrs.put(index, kvm_msr_entry.data(entry));
            return false;
        });
    }

    private interface MsrAccess {
        /** Says whether the entry was changed. */
        boolean access(MemorySegment entry, int index);
    }

    /** The kernel goes as far as it knows the registers, and answers how far that was. */
    private long eachMsr(Argument argument, MsrAccess access) {
        int count = kvm_msrs.nmsrs(argument.read(0, kvm_msrs.sizeof()));
        Refusal.when(Integer.compareUnsigned(count, MOST_MSRS) >= 0, E2BIG);
        for (int i = 0; i < count; i++) {
            long offset = kvm_msrs.sizeof() + i * kvm_msr_entry.sizeof();
            MemorySegment entry = argument.read(offset, kvm_msr_entry.sizeof());
            int index = kvm_msr_entry.index(entry);
            if (!msrs.containsKey(index)) {
                if (mayExist(index)) {
                    throw new NotModelledException(String.format("MSR 0x%x", index));
                }
                return i;
            }
            if (access.access(entry, index)) {
                argument.write(offset, entry);
            }
        }
        return count;
    }

    /** Processors and hypervisors have registers in these ranges only. */
    private static boolean mayExist(int index) {
        return index >>> 13 == 0 || index >>> 16 == 0x4000 || index >>> 8 == 0x4b_564d || index >>> 16 == 0xc000
                || index >>> 16 == 0xc001;
    }

    long getMpState(Argument argument) {
        argument.writeInt(0, mpState);
        return 0;
    }

    long setMpState(Argument argument) {
        int state = kvm_mp_state.mp_state(argument.read(0, kvm_mp_state.sizeof()));
        boolean runnable = state == kvm_h.KVM_MP_STATE_RUNNABLE();
        Refusal.when(!runnable && !interrupts.exists(), EINVAL);
        if (!runnable && state != kvm_h.KVM_MP_STATE_UNINITIALIZED()) {
            throw new NotModelledException("KVM_SET_MP_STATE of state " + state);
        }
        mpState = state;
        return 0;
    }

    boolean waitsToBeStarted() {
        return mpState == kvm_h.KVM_MP_STATE_UNINITIALIZED();
    }

    void begins() {
        hasRun = true;
    }

    boolean takesInterrupts() {
        return (kvm_regs.rflags(regs) & INTERRUPT_FLAG) != 0;
    }

    long apicBase() {
        return kvm_sregs.apic_base(sregs);
    }

    /** What a fresh machine tells of its processor: an AMD one of 64 bits, and that it runs under KVM. */
    static long supportedCpuid(Argument argument) {
        int[][] answers = {{0, 1, 0x6874_7541, 0x444d_4163, 0x6974_6e65},
            {1, 0xa1_0f11, 0x800, 0x8120_2000, 0x78b_fbff},
            {0x8000_0000, 0x8000_0001, 0x6874_7541, 0x444d_4163, 0x6974_6e65},
            {0x8000_0001, 0xa1_0f11, 0, 0x40_0393, 0x23d3_fbff},
            {0x4000_0000, 0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d}, {0x4000_0001, 0x100_7efb, 0, 0, 0}};
        int room = kvm_cpuid2.nent(argument.read(0, kvm_cpuid2.sizeof()));
        Refusal.when(Integer.compareUnsigned(room, answers.length) < 0, E2BIG);
        MemorySegment cpuid = Argument.allocate(kvm_cpuid2.sizeof() + answers.length * kvm_cpuid_entry2.sizeof());
        kvm_cpuid2.nent(cpuid, answers.length);
        for (int i = 0; i < answers.length; i++) {
            MemorySegment entry = cpuid.asSlice(kvm_cpuid2.sizeof() + i * kvm_cpuid_entry2.sizeof(),
                    kvm_cpuid_entry2.sizeof());
            kvm_cpuid_entry2.function(entry, answers[i][0]);
            kvm_cpuid_entry2.eax(entry, answers[i][1]);
            kvm_cpuid_entry2.ebx(entry, answers[i][2]);
            kvm_cpuid_entry2.ecx(entry, answers[i][3]);
            kvm_cpuid_entry2.edx(entry, answers[i][4]);
        }
        argument.write(0, cpuid);
        return 0;
    }
}
