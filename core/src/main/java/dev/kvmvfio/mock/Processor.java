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
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A vCPU's registers, which a program reads and writes. They begin as a real one's after power-on. */
final class Processor {
    private static final int MOST_CPUID_ENTRIES = 256;
    private static final int MOST_MSRS = 256;
    private static final long RESERVED_FLAG = 2;
    private static final long INTERRUPT_FLAG = 1 << 9;
    private static final long APIC_BASE = 0xfee0_0800L;
    private static final long BOOT_PROCESSOR = 1 << 8;
    private static final long APIC_RESERVED = 0x2ff;
    private static final long X2APIC = 0xc00;
    private static final long X2APIC_OF_NONE = 0x400;
    private static final int X2APIC_FEATURE = 1 << 21;
    private static final int VENDOR = 0;
    private static final int AMD = 0x6874_7541;
    private static final int HYGON = 0x6f67_7948;
    private static final int INTEL = 0x756e_6547;
    private static final int FEATURES = 1;
    private static final int EXTENDED_FUNCTIONS = 0x8000_0000;
    private static final int EXTENDED_FEATURES = 0x8000_0001;
    private static final int NO_EXECUTE = 1 << 20;
    private static final int FAST_FXSAVE = 1 << 25;
    private static final int LONG_MODE = 1 << 29;
    private static final int ADDRESS_SIZES = 0x8000_0008;
    private static final int ADDRESS_BITS = 36;
    private static final Set<Integer> VIRTUAL_ADDRESS_BITS = Set.of(0, 48, 57);
    private static final int NOT_CANONICAL_BITS = 16;
    private static final long MOST_PRIORITY = 15;

    private static final long CR0_PE = 1;
    private static final long CR0_NW = 1L << 29;
    private static final long CR0_CD = 1L << 30;
    private static final long CR0_PG = 1L << 31;
    private static final long CR4_PAE = 1 << 5;
    /** Those of the features that {@link #supportedCpuid} tells of. */
    private static final long CR4_BITS = 0x7ff;
    private static final long EFER_SCE = 1;
    private static final long EFER_LME = 1 << 8;
    private static final long EFER_LMA = 1 << 10;
    private static final long EFER_NX = 1 << 11;
    private static final long EFER_FFXSR = 1 << 14;

    private static final Set<Integer> MP_STATES = Set.of(kvm_h.KVM_MP_STATE_RUNNABLE(),
            kvm_h.KVM_MP_STATE_UNINITIALIZED(), kvm_h.KVM_MP_STATE_INIT_RECEIVED(), kvm_h.KVM_MP_STATE_HALTED(),
            kvm_h.KVM_MP_STATE_SIPI_RECEIVED(), kvm_h.KVM_MP_STATE_AP_RESET_HOLD());

    private static final int SYSENTER_ESP = 0x175;
    private static final int SYSENTER_EIP = 0x176;
    private static final int PAT = 0x277;
    private static final long PAT_RESERVED = 0xf8f8_f8f8_f8f8_f8f8L;
    private static final long PAT_TWOS = 0x0202_0202_0202_0202L;
    /** The MSRs that are kept, as they are after power-on: those of fast calls, of segments, of page attributes. */
    private static final Map<Integer, Long> MSRS = Map.ofEntries(Map.entry(0x174, 0L), Map.entry(SYSENTER_ESP, 0L),
            Map.entry(SYSENTER_EIP, 0L), Map.entry(PAT, 0x0007_0406_0007_0406L), Map.entry(0xc000_0081, 0L),
            Map.entry(0xc000_0082, 0L), Map.entry(0xc000_0083, 0L), Map.entry(0xc000_0084, 0L),
            Map.entry(0xc000_0100, 0L), Map.entry(0xc000_0101, 0L), Map.entry(0xc000_0102, 0L));

    /** Those of them that hold an address in the upper or the lower half. */
    private static final Set<Integer> ADDRESS_MSRS = Set.of(0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0101,
            0xc000_0102);

    private final KernelProfile profile;
    private final InterruptController interrupts;
    private final MemorySegment regs = Argument.allocate(kvm_regs.sizeof());
    private final MemorySegment sregs = Argument.allocate(kvm_sregs.sizeof());
    private final Map<Integer, Long> msrs = new HashMap<>(MSRS);
    private int mpState = kvm_h.KVM_MP_STATE_RUNNABLE();
    private int vendor;
    private int extendedFeatures;
    private int addressBits = ADDRESS_BITS;
    private boolean hasX2apic;

    Processor(KernelProfile profile, InterruptController interrupts, int id) {
        this.profile = profile;
        this.interrupts = interrupts;
        boolean boots = id == 0;
        if (interrupts.exists() && !boots) {
            mpState = kvm_h.KVM_MP_STATE_UNINITIALIZED();
        }
        kvm_regs.rip(regs, 0xfff0);
        kvm_regs.rdx(regs, 0x600);
        kvm_regs.rflags(regs, RESERVED_FLAG);
        segment(kvm_sregs.cs(sregs), 10, 1);
        kvm_segment.base(kvm_sregs.cs(sregs), 0xffff_0000L);
        kvm_segment.selector(kvm_sregs.cs(sregs), (short) 0xf000);
        for (MemorySegment data : List.of(kvm_sregs.ds(sregs), kvm_sregs.es(sregs), kvm_sregs.fs(sregs),
                kvm_sregs.gs(sregs), kvm_sregs.ss(sregs))) {
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
        Refusal.when(!isConsistent(wanted) || !isApicBase(kvm_sregs.apic_base(wanted)), EINVAL);
        if (Long.compareUnsigned(kvm_sregs.cr8(wanted), MOST_PRIORITY) > 0) {
            kvm_sregs.cr8(wanted, cr8());
        }
        sregs.copyFrom(wanted);
        for (MemorySegment segment : List.of(kvm_sregs.cs(sregs), kvm_sregs.ds(sregs), kvm_sregs.es(sregs),
                kvm_sregs.fs(sregs), kvm_sregs.gs(sregs), kvm_sregs.ss(sregs), kvm_sregs.tr(sregs),
                kvm_sregs.ldt(sregs))) {
            boolean usable = kvm_segment.present(segment) != 0 && kvm_segment.unusable(segment) == 0;
            kvm_segment.present(segment, (byte) (usable ? 1 : 0));
            kvm_segment.unusable(segment, (byte) (usable ? 0 : 1));
        }
        return 0;
    }

    private boolean isConsistent(MemorySegment wanted) {
        long cr0 = kvm_sregs.cr0(wanted);
        long cr4 = kvm_sregs.cr4(wanted);
        long efer = kvm_sregs.efer(wanted);
        boolean paging = (cr0 & CR0_PG) != 0;
        boolean longMode = (efer & EFER_LME) != 0 && paging;
        boolean modes = longMode
                ? (cr4 & CR4_PAE) != 0 && (efer & EFER_LMA) != 0 && isAddress(kvm_sregs.cr3(wanted))
                : (efer & EFER_LMA) == 0 && kvm_segment.l(kvm_sregs.cs(wanted)) == 0;
        return modes && cr0 >>> 32 == 0 && ((cr0 & CR0_NW) == 0 || (cr0 & CR0_CD) != 0)
                && (!paging || (cr0 & CR0_PE) != 0) && (cr4 & ~CR4_BITS) == 0
                && isEfer(efer);
    }

    /** Linux 7 wants CPUID to tell of what is switched on. */
    private boolean isEfer(long efer) {
        long known = EFER_SCE | (has(LONG_MODE) ? EFER_LME | EFER_LMA : 0) | (has(NO_EXECUTE) ? EFER_NX : 0)
                | (has(FAST_FXSAVE) ? EFER_FFXSR : 0);
        return !profile.atLeast(KernelProfile.V7_2) || (efer & ~known) == 0;
    }

    private boolean has(int extendedFeature) {
        return (extendedFeatures & extendedFeature) != 0;
    }

    private boolean isApicBase(long value) {
        long mode = value & X2APIC;
        return (value & APIC_RESERVED) == 0 && isAddress(value) && mode != X2APIC_OF_NONE
                && (mode != X2APIC || hasX2apic);
    }

    private boolean isAddress(long value) {
        return value >>> addressBits == 0;
    }

    long setCpuid(Argument argument) {
        int entries = kvm_cpuid2.nent(argument.read(0, kvm_cpuid2.sizeof()));
        Refusal.when(Integer.compareUnsigned(entries, MOST_CPUID_ENTRIES) > 0, E2BIG);
        MemorySegment answers = argument.read(kvm_cpuid2.sizeof(), entries * kvm_cpuid_entry2.sizeof());
        int sizes = find(answers, ADDRESS_SIZES, kvm_cpuid_entry2.eax$offset());
        Refusal.when(!VIRTUAL_ADDRESS_BITS.contains(sizes >>> 8 & 0xff), EINVAL);
        int last = find(answers, EXTENDED_FUNCTIONS, kvm_cpuid_entry2.eax$offset());
        addressBits = Integer.compareUnsigned(last, ADDRESS_SIZES) < 0 ? ADDRESS_BITS : sizes & 0xff;
        vendor = find(answers, VENDOR, kvm_cpuid_entry2.ebx$offset());
        extendedFeatures = find(answers, EXTENDED_FEATURES, kvm_cpuid_entry2.edx$offset());
        hasX2apic = (find(answers, FEATURES, kvm_cpuid_entry2.ecx$offset()) & X2APIC_FEATURE) != 0;
        return 0;
    }

    /** A register of the answer to a function, or 0 when there is none. */
    private static int find(MemorySegment answers, int function, long register) {
        return answers.elements(kvm_cpuid_entry2.layout())
                .filter(entry -> kvm_cpuid_entry2.function(entry) == function).findFirst()
                .map(entry -> entry.get(ValueLayout.JAVA_INT, register)).orElse(0);
    }

    long getMsrs(Argument argument) {
        return eachMsr(argument, (index, entry, offset) -> {
            kvm_msr_entry.data(entry, msrs.get(index));
            argument.write(offset, entry);
            return true;
        });
    }

    long setMsrs(Argument argument) {
        return eachMsr(argument, (index, entry, _) -> setMsr(index, kvm_msr_entry.data(entry)));
    }

    private boolean setMsr(int index, long value) {
        long canonical = value << NOT_CANONICAL_BITS >> NOT_CANONICAL_BITS;
        if (ADDRESS_MSRS.contains(index) && value != canonical || index == PAT && !isPat(value)) {
            return false;
        }
        boolean sysenter = index == SYSENTER_ESP || index == SYSENTER_EIP;
        msrs.put(index, !sysenter ? value : hasLongSysenter() ? canonical : canonical & 0xffff_ffffL);
        return true;
    }

    /** Eight types of memory, each in a byte, of which 2 and 3 are none. */
    private static boolean isPat(long value) {
        return (value & PAT_RESERVED) == 0 && ((value & PAT_TWOS) << 1 & ~value) == 0;
    }

    /** AMD's processors keep 32 bits of these, and KVM does as the guest's processor would. */
    private boolean hasLongSysenter() {
        return profile.atLeast(KernelProfile.V6_12) ? vendor != AMD && vendor != HYGON : vendor == INTEL;
    }

    private interface MsrAccess {
        /** Says whether the kernel goes on to the next. */
        boolean access(int index, MemorySegment entry, long offset);
    }

    /** The kernel goes as far as it knows the registers and takes the values, and answers how far that was. */
    private long eachMsr(Argument argument, MsrAccess access) {
        int count = kvm_msrs.nmsrs(argument.read(0, kvm_msrs.sizeof()));
        Refusal.when(Integer.compareUnsigned(count, MOST_MSRS) >= 0, E2BIG);
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

    long getMpState(Argument argument) {
        argument.writeInt(0, mpState);
        return 0;
    }

    long setMpState(Argument argument) {
        int state = kvm_mp_state.mp_state(argument.read(0, kvm_mp_state.sizeof()));
        Refusal.when(state != kvm_h.KVM_MP_STATE_RUNNABLE() && (!interrupts.exists() || !MP_STATES.contains(state)),
                EINVAL);
        if (state != kvm_h.KVM_MP_STATE_RUNNABLE() && state != kvm_h.KVM_MP_STATE_UNINITIALIZED()) {
            throw new NotModelledException("KVM_SET_MP_STATE of state " + state);
        }
        mpState = state;
        return 0;
    }

    boolean waitsToBeStarted() {
        return mpState == kvm_h.KVM_MP_STATE_UNINITIALIZED();
    }

    boolean takesInterrupts() {
        return (kvm_regs.rflags(regs) & INTERRUPT_FLAG) != 0;
    }

    long cr8() {
        return kvm_sregs.cr8(sregs);
    }

    /** Without an APIC in the kernel the program tells the task's priority at each run. */
    void takePriority(long cr8) {
        if (!interrupts.exists()) {
            Refusal.when(Long.compareUnsigned(cr8, MOST_PRIORITY) > 0, EINVAL);
            kvm_sregs.cr8(sregs, cr8);
        }
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
