package dev.kvmvfio.shell;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_segment;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.kvm.Vcpu;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Locale;

/** The registers of a vCPU as people read them. */
final class Registers {
    private Registers() {
    }

    static List<String> of(Vcpu vcpu) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment r = vcpu.x86().regs(arena);
            MemorySegment s = vcpu.x86().sregs(arena);
            return List.of(
                    row("rax", kvm_regs.rax(r), "rbx", kvm_regs.rbx(r), "rcx", kvm_regs.rcx(r), "rdx", kvm_regs.rdx(r)),
                    row("rsi", kvm_regs.rsi(r), "rdi", kvm_regs.rdi(r), "rbp", kvm_regs.rbp(r), "rsp", kvm_regs.rsp(r)),
                    row("r8", kvm_regs.r8(r), "r9", kvm_regs.r9(r), "r10", kvm_regs.r10(r), "r11", kvm_regs.r11(r)),
                    row("r12", kvm_regs.r12(r), "r13", kvm_regs.r13(r), "r14", kvm_regs.r14(r), "r15", kvm_regs.r15(r)),
                    row("rip", kvm_regs.rip(r), "flags", kvm_regs.rflags(r), "cr0", kvm_sregs.cr0(s), "cr3",
                            kvm_sregs.cr3(s)),
                    row("cr4", kvm_sregs.cr4(s), "efer", kvm_sregs.efer(s), "cs", base(kvm_sregs.cs(s)), "ds",
                            base(kvm_sregs.ds(s)))
                            + "  (bases)");
        }
    }

    private static long base(MemorySegment segment) {
        return kvm_segment.base(segment);
    }

    private static String row(Object... namesAndValues) {
        return String.format(Locale.ROOT, "%-5s %016x  %-5s %016x  %-5s %016x  %-5s %016x", namesAndValues);
    }
}
