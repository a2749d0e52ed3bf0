package dev.kvmvfio.vmm;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_dtable;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_segment;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.kvm.Vcpu;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Lets a vCPU begin in 64-bit mode without a line of guest code: the first 4 GiB are mapped to themselves by large
 * pages, and there are a code and a data segment. The tables take the guest's memory from {@link #TABLES} to
 * {@link #FREE}.
 */
public final class LongMode {
    /** Where the tables begin. */
    public static final long TABLES = 0x1000;
    /** The first byte behind them. */
    public static final long FREE = 0x8000;

    private static final long TOP = TABLES;
    private static final long GIGABYTES = TABLES + 0x1000;
    private static final long MEGABYTES = TABLES + 0x2000;
    private static final long DESCRIPTORS = TABLES + 0x6000;
    private static final int MAPPED_GIGABYTES = 4;
    private static final long LARGE_PAGE = 2 << 20;
    private static final int PRESENT_WRITABLE = 0x3;
    private static final int LARGE = 0x80;

    private static final int CODE_SELECTOR = 8;
    private static final int DATA_SELECTOR = 16;
    private static final int CODE_TYPE = 11;
    private static final int DATA_TYPE = 3;
    private static final int TASK_TYPE = 11;

    private static final long CR0 = 0x8005_0033L;
    private static final long CR4 = 0x20;
    private static final long EFER = 0x500;
    private static final long RESERVED_FLAG = 2;

    private LongMode() {
    }

    /**
     * Writes the tables and sets the vCPU's registers.
     *
     * @param vcpu a vCPU that has not run yet
     * @param ram the memory at guest-physical address 0
     * @param entry where the guest begins
     * @param stack where its stack ends
     */
    public static void enter(Vcpu vcpu, MemorySegment ram, long entry, long stack) {
        writeTables(ram);
        vcpu.x86().updateSregs(LongMode::setSpecialRegisters);
        vcpu.x86().updateRegs(regs -> {
            kvm_regs.rip(regs, entry);
            kvm_regs.rsp(regs, stack);
            kvm_regs.rflags(regs, RESERVED_FLAG);
        });
    }

    private static void writeTables(MemorySegment ram) {
        ram.set(ValueLayout.JAVA_LONG, TOP, GIGABYTES | PRESENT_WRITABLE);
        for (int gigabyte = 0; gigabyte < MAPPED_GIGABYTES; gigabyte++) {
            ram.set(ValueLayout.JAVA_LONG, GIGABYTES + gigabyte * 8L,
                    MEGABYTES + gigabyte * 0x1000L | PRESENT_WRITABLE);
        }
        for (long page = 0; page < MAPPED_GIGABYTES * 512L; page++) {
            ram.set(ValueLayout.JAVA_LONG, MEGABYTES + page * 8, page * LARGE_PAGE | LARGE | PRESENT_WRITABLE);
        }
        ram.set(ValueLayout.JAVA_LONG, DESCRIPTORS + CODE_SELECTOR, 0x00af_9b00_0000_ffffL);
        ram.set(ValueLayout.JAVA_LONG, DESCRIPTORS + DATA_SELECTOR, 0x00cf_9300_0000_ffffL);
    }

    private static void setSpecialRegisters(MemorySegment sregs) {
        segment(kvm_sregs.cs(sregs), CODE_SELECTOR, CODE_TYPE);
        kvm_segment.l(kvm_sregs.cs(sregs), (byte) 1);
        for (MemorySegment data : new MemorySegment[]{kvm_sregs.ds(sregs), kvm_sregs.es(sregs), kvm_sregs.fs(sregs),
            kvm_sregs.gs(sregs), kvm_sregs.ss(sregs)}) {
            segment(data, DATA_SELECTOR, DATA_TYPE);
            kvm_segment.db(data, (byte) 1);
        }
        MemorySegment task = kvm_sregs.tr(sregs);
        segment(task, 0, TASK_TYPE);
        kvm_segment.s(task, (byte) 0);
        kvm_segment.g(task, (byte) 0);
        kvm_dtable.base(kvm_sregs.gdt(sregs), DESCRIPTORS);
        kvm_dtable.limit(kvm_sregs.gdt(sregs), (short) (DATA_SELECTOR + 7));
        kvm_dtable.limit(kvm_sregs.idt(sregs), (short) 0);
        kvm_sregs.cr0(sregs, CR0);
        kvm_sregs.cr3(sregs, TOP);
        kvm_sregs.cr4(sregs, CR4);
        kvm_sregs.efer(sregs, EFER);
    }

    private static void segment(MemorySegment segment, int selector, int type) {
        kvm_segment.base(segment, 0);
        kvm_segment.limit(segment, -1);
        kvm_segment.selector(segment, (short) selector);
        kvm_segment.type(segment, (byte) type);
        kvm_segment.present(segment, (byte) 1);
        kvm_segment.dpl(segment, (byte) 0);
        kvm_segment.s(segment, (byte) 1);
        kvm_segment.db(segment, (byte) 0);
        kvm_segment.l(segment, (byte) 0);
        kvm_segment.g(segment, (byte) 1);
        kvm_segment.unusable(segment, (byte) 0);
    }
}
