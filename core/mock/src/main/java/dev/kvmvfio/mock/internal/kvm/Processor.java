package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_mp_state;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_dtable;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_segment;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Set;

/** A vCPU's registers, which a program reads and writes. They begin as a real one's after power-on. */
final class Processor {
    private static final long RESERVED_FLAG = 2;
    private static final long INTERRUPT_FLAG = 1 << 9;
    private static final long APIC_BASE = 0xfee0_0800L;
    private static final long BOOT_PROCESSOR = 1 << 8;
    private static final long APIC_RESERVED = 0x2ff;
    private static final long X2APIC = 0xc00;
    private static final long X2APIC_OF_NONE = 0x400;
    private static final long MOST_PRIORITY = 15;

    private static final long CR0_PE = 1;
    private static final long CR0_NW = 1L << 29;
    private static final long CR0_CD = 1L << 30;
    private static final long CR0_PG = 1L << 31;
    private static final long CR4_PAE = 1 << 5;
    /** Those of the features that {@link Cpuid#supported} tells of. */
    private static final long CR4_BITS = 0x7ff;
    private static final long EFER_LME = 1 << 8;
    private static final long EFER_LMA = 1 << 10;

    private static final Set<Integer> MP_STATES = Set.of(kvm_h.KVM_MP_STATE_RUNNABLE(),
            kvm_h.KVM_MP_STATE_UNINITIALIZED(), kvm_h.KVM_MP_STATE_INIT_RECEIVED(), kvm_h.KVM_MP_STATE_HALTED(),
            kvm_h.KVM_MP_STATE_SIPI_RECEIVED(), kvm_h.KVM_MP_STATE_AP_RESET_HOLD());

    private final Cpuid cpuid;
    private final InterruptController interrupts;
    private final MemorySegment regs = Argument.allocate(kvm_regs.sizeof());
    private final MemorySegment sregs = Argument.allocate(kvm_sregs.sizeof());
    private int mpState = kvm_h.KVM_MP_STATE_RUNNABLE();

    Processor(Cpuid cpuid, InterruptController interrupts, int id) {
        this.cpuid = cpuid;
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
                ? (cr4 & CR4_PAE) != 0 && (efer & EFER_LMA) != 0 && cpuid.isAddress(kvm_sregs.cr3(wanted))
                : (efer & EFER_LMA) == 0 && kvm_segment.l(kvm_sregs.cs(wanted)) == 0;
        return modes && cr0 >>> 32 == 0 && ((cr0 & CR0_NW) == 0 || (cr0 & CR0_CD) != 0)
                && (!paging || (cr0 & CR0_PE) != 0) && (cr4 & ~CR4_BITS) == 0
                && cpuid.allowsEfer(efer);
    }

    private boolean isApicBase(long value) {
        long mode = value & X2APIC;
        return (value & APIC_RESERVED) == 0 && cpuid.isAddress(value) && mode != X2APIC_OF_NONE
                && (mode != X2APIC || cpuid.hasX2apic());
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
}
