package dev.kvmvfio.kvm.x86;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_msr_entry;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msrs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.internal.VcpuAccess;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.Arena;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.List;
import java.util.function.Consumer;

/**
 * What a virtual processor has on x86-64 alone, its registers first: {@code vcpu.x86()}.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread; on another one than the vCPU's each is done within a
 * pause of its own ({@code Vcpu.pause()}). What writes is an {@link IllegalStateException} while an exit is not
 * answered: KVM would write over it. Updates of two threads are done one after the other.
 */
public final class X86Vcpu {
    private static final Ioctl GET_REGS = new Ioctl("KVM_GET_REGS", kvm_x86_64_h.KVM_GET_REGS());
    private static final Ioctl SET_REGS = new Ioctl("KVM_SET_REGS", kvm_x86_64_h.KVM_SET_REGS());
    private static final Ioctl GET_SREGS = new Ioctl("KVM_GET_SREGS", kvm_x86_64_h.KVM_GET_SREGS());
    private static final Ioctl SET_SREGS = new Ioctl("KVM_SET_SREGS", kvm_x86_64_h.KVM_SET_SREGS());
    private static final Ioctl SET_CPUID2 = new Ioctl("KVM_SET_CPUID2", kvm_x86_64_h.KVM_SET_CPUID2());
    private static final Ioctl GET_MSRS = new Ioctl("KVM_GET_MSRS", kvm_x86_64_h.KVM_GET_MSRS());
    private static final Ioctl SET_MSRS = new Ioctl("KVM_SET_MSRS", kvm_x86_64_h.KVM_SET_MSRS());

    private final VcpuAccess vcpu;
    private final FileDescriptor fd;

    X86Vcpu(VcpuAccess vcpu) {
        this.vcpu = vcpu;
        this.fd = vcpu.fd();
    }

    /**
     * {@code KVM_GET_REGS}: the general registers, the instruction pointer and the flags.
     *
     * @param memory where to put them
     * @return a {@code struct kvm_regs}
     * @throws KernelException when the kernel refuses
     */
    public MemorySegment regs(SegmentAllocator memory) {
        return get(GET_REGS, kvm_regs.layout(), memory);
    }

    /**
     * {@code KVM_GET_REGS}, then {@code KVM_SET_REGS}.
     *
     * @param change edits a {@code struct kvm_regs}
     * @throws IllegalStateException while an exit is not answered
     * @throws KernelException when the kernel refuses
     */
    public void updateRegs(Consumer<MemorySegment> change) {
        update(GET_REGS, SET_REGS, kvm_regs.layout(), change);
    }

    /**
     * {@code KVM_GET_SREGS}: segments, tables, control registers.
     *
     * @param memory where to put them
     * @return a {@code struct kvm_sregs}
     * @throws KernelException when the kernel refuses
     */
    public MemorySegment sregs(SegmentAllocator memory) {
        return get(GET_SREGS, kvm_sregs.layout(), memory);
    }

    /**
     * {@code KVM_GET_SREGS}, then {@code KVM_SET_SREGS}.
     *
     * @param change edits a {@code struct kvm_sregs}
     * @throws IllegalStateException while an exit is not answered
     * @throws KernelException when the kernel refuses; {@code EINVAL} for control registers that contradict each other
     *         or that the CPUID does not allow
     */
    public void updateSregs(Consumer<MemorySegment> change) {
        update(GET_SREGS, SET_SREGS, kvm_sregs.layout(), change);
    }

    private MemorySegment get(Ioctl call, GroupLayout layout, SegmentAllocator memory) {
        MemorySegment struct = memory.allocate(layout);
        requireDone(call, vcpu.read(call, struct));
        return struct;
    }

    private int requireDone(Ioctl call, int result) {
        if (result < 0) {
            throw new KernelException(call.name(), fd, result);
        }
        return result;
    }

    private void update(Ioctl get, Ioctl set, GroupLayout layout, Consumer<MemorySegment> change) {
        // Not the thread's scratch memory: the change is the caller's code.
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment struct = arena.allocate(layout);
            vcpu.update(() -> {
                fd.call(get, struct);
                change.accept(struct);
                fd.call(set, struct);
            });
        }
    }

    /**
     * {@code KVM_SET_CPUID2}: what the guest's {@code CPUID} answers, which also says what the vCPU can do. To be called
     * before the first run. Each vCPU tells its own id: the functions that answer an APIC id (0x1, 0xb, 0x1f and
     * 0x8000001e) get the number that this vCPU was created with.
     *
     * @param entries all of them, usually {@link X86Kvm#supportedCpuid()}; their APIC ids do not matter
     * @throws KernelException when the kernel refuses; {@code E2BIG} for too many, {@code EINVAL} for a vCPU that ran
     *         already with others
     */
    public void setCpuid(List<CpuidEntry> entries) {
        List<CpuidEntry> own = entries.stream().map(entry -> entry.withApicId(vcpu.id())).toList();
        try (Arena arena = Arena.ofConfined()) {
            int result = vcpu.write(SET_CPUID2, CpuidEntry.write(arena, own));
            if (result < 0) {
                throw new KernelException(SET_CPUID2.name(), fd, "nent=" + entries.size(), result, "");
            }
        }
    }

    /**
     * {@code KVM_GET_MSRS} of one register.
     *
     * @param index the register's number
     * @return its value
     * @throws HostException when the vCPU has no such register
     * @throws KernelException when the kernel refuses
     */
    public long msr(int index) {
        MemorySegment msrs = msrs(index, 0);
        if (requireDone(GET_MSRS, vcpu.read(GET_MSRS, msrs)) == 0) {
            throw new HostException(String.format("%s has no MSR 0x%x that can be read", fd, index),
                    "Some depend on what the CPUID says: set that first");
        }
        return kvm_msr_entry.data(msrs.asSlice(kvm_msrs.sizeof()));
    }

    /**
     * {@code KVM_SET_MSRS} of one register.
     *
     * @param index the register's number
     * @param value its new value
     * @throws IllegalStateException while an exit is not answered
     * @throws HostException when the vCPU has no such register or it does not take the value
     * @throws KernelException when the kernel refuses
     */
    public void setMsr(int index, long value) {
        if (requireDone(SET_MSRS, vcpu.write(SET_MSRS, msrs(index, value))) == 0) {
            throw new HostException(String.format("%s has no MSR 0x%x that takes 0x%x", fd, index, value),
                    "Some depend on what the CPUID says: set that first");
        }
    }

    private static MemorySegment msrs(int index, long value) {
        MemorySegment msrs = Scratch.begin().allocate(kvm_msrs.sizeof() + kvm_msr_entry.sizeof(), Long.BYTES);
        kvm_msrs.nmsrs(msrs, 1);
        MemorySegment entry = msrs.asSlice(kvm_msrs.sizeof());
        kvm_msr_entry.index(entry, index);
        kvm_msr_entry.data(entry, value);
        return msrs;
    }
}
