package dev.kvmvfio.it.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid_entry2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msr_entry;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msrs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_nested_state;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.FileHandle;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.Kernel;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The machine's own KVM, on x86-64: it writes no byte that the library has not asked memory for. */
@Tag("kvm")
class RealPassedMemoryTest extends PassedMemoryContract {
    private static final int LARGE = 1 << 16;
    private static final int TSC = 0x10;

    private List<String> heldBefore;

    @Override
    Kernel start() {
        heldBefore = HeldFiles.now();
        return Kernel.linux();
    }

    @Override
    void assertNothingLeft() {
        assertThat(HeldFiles.now()).isEqualTo(heldBefore);
    }

    /** How far an ioctl writes into large memory, which begins as the call wants it. */
    private long written(FileDescriptor file, Ioctl ioctl, Consumer<MemorySegment> begin) {
        long written = 0;
        for (int pattern : new int[]{0x5a, 0xa5}) {
            MemorySegment memory = arena.allocate(LARGE, 8).fill((byte) pattern);
            begin.accept(memory);
            MemorySegment before = arena.allocate(LARGE, 8).copyFrom(memory);
            assertThat(file.kernel().ioctl(file.number(), ioctl.number(), memory)).as("%s", ioctl).isNotNegative();
            long last = LARGE - 1;
            while (last >= written && memory.get(JAVA_BYTE, last) == before.get(JAVA_BYTE, last)) {
                last--;
            }
            written = last + 1;
        }
        return written;
    }

    /** Less memory than what the kernel writes is refused. */
    private long assertCovered(FileHandle handle, String name, long number, Consumer<MemorySegment> begin) {
        FileDescriptor file = handle.fd();
        Ioctl ioctl = new Ioctl(name, number);
        long written = written(file, ioctl, begin);
        assertThat(written).as(name).isGreaterThan(1);
        MemorySegment memory = arena.allocate(LARGE, 8);
        begin.accept(memory);
        assertThatThrownBy(() -> file.ioctl(ioctl, memory.asSlice(0, written - 1))).as(name)
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining(name);
        return written;
    }

    private long assertCovered(FileHandle handle, String name, long number) {
        return assertCovered(handle, name, number, _ -> {
        });
    }

    private static Consumer<MemorySegment> count(int count) {
        return memory -> memory.set(JAVA_INT_UNALIGNED, 0, count);
    }

    @Test
    void ofAVcpu() {
        vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
        assertCovered(vcpu, "KVM_GET_REGS", kvm_x86_64_h.KVM_GET_REGS());
        assertCovered(vcpu, "KVM_GET_SREGS", kvm_x86_64_h.KVM_GET_SREGS());
        assertCovered(vcpu, "KVM_GET_SREGS2", kvm_x86_64_h.KVM_GET_SREGS2());
        assertCovered(vcpu, "KVM_GET_FPU", kvm_x86_64_h.KVM_GET_FPU());
        assertCovered(vcpu, "KVM_GET_LAPIC", kvm_x86_64_h.KVM_GET_LAPIC());
        assertCovered(vcpu, "KVM_GET_DEBUGREGS", kvm_x86_64_h.KVM_GET_DEBUGREGS());
        assertCovered(vcpu, "KVM_GET_XCRS", kvm_x86_64_h.KVM_GET_XCRS());
        assertCovered(vcpu, "KVM_GET_XSAVE", kvm_x86_64_h.KVM_GET_XSAVE());
        assertCovered(vcpu, "KVM_GET_VCPU_EVENTS", kvm_h.KVM_GET_VCPU_EVENTS());
        assertCovered(vcpu, "KVM_GET_MP_STATE", kvm_h.KVM_GET_MP_STATE());
        assertCovered(vcpu, "KVM_TRANSLATE", kvm_h.KVM_TRANSLATE());
        assertCovered(vcpu, "KVM_GET_CPUID2", kvm_x86_64_h.KVM_GET_CPUID2(), count(256));
        assertCovered(vcpu, "KVM_GET_MSRS", kvm_x86_64_h.KVM_GET_MSRS(), memory -> {
            kvm_msrs.nmsrs(memory, 3);
            for (int i = 0; i < 3; i++) {
                kvm_msr_entry.index(memory.asSlice(kvm_msrs.sizeof() + i * kvm_msr_entry.sizeof()), TSC);
            }
        });
    }

    /** All of it is written, also what is zero. */
    @Test
    void anXsaveIsAsLargeAsTheVmSays() {
        assertThat(assertCovered(vcpu, "KVM_GET_XSAVE2", kvm_x86_64_h.KVM_GET_XSAVE2()))
                .isEqualTo(vm.checkExtension(kvm_h.KVM_CAP_XSAVE2()));
    }

    @Test
    void aNestedStateIsAsLargeAsItSays() throws IOException {
        vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
        Ioctl get = new Ioctl("KVM_GET_NESTED_STATE", kvm_x86_64_h.KVM_GET_NESTED_STATE());
        Consumer<MemorySegment> begin = memory -> kvm_nested_state.size(memory, LARGE / 2);
        if (isNested()) {
            assertThat(assertCovered(vcpu, get.name(), get.number(), begin)).isLessThanOrEqualTo(LARGE / 2);
        }
        MemorySegment memory = arena.allocate(LARGE / 2 - 1, 8);
        begin.accept(memory);
        assertThatThrownBy(() -> vcpu.fd().ioctl(get, memory)).isInstanceOf(IllegalArgumentException.class);
    }

    private static boolean isNested() throws IOException {
        for (Path module : Stream.of("kvm_intel", "kvm_amd").map(name -> Path.of("/sys/module", name)).toList()) {
            Path nested = module.resolve("parameters/nested");
            if (Files.exists(nested)) {
                return !Files.readString(nested).strip().matches("[0N]");
            }
        }
        return false;
    }

    @Test
    void ofAVm() {
        vm.x86().createPit();
        assertCovered(vm, "KVM_GET_CLOCK", kvm_h.KVM_GET_CLOCK());
        assertCovered(vm, "KVM_GET_PIT2", kvm_x86_64_h.KVM_GET_PIT2());
        assertCovered(vm, "KVM_GET_IRQCHIP", kvm_h.KVM_GET_IRQCHIP(), count(0));
    }

    @Test
    void ofKvm() {
        assertCovered(kvm, "KVM_GET_MSR_INDEX_LIST", kvm_x86_64_h.KVM_GET_MSR_INDEX_LIST(), count(1000));
        assertCovered(kvm, "KVM_GET_MSR_FEATURE_INDEX_LIST", kvm_x86_64_h.KVM_GET_MSR_FEATURE_INDEX_LIST(),
                count(1000));
        assertCovered(kvm, "KVM_GET_SUPPORTED_CPUID", kvm_x86_64_h.KVM_GET_SUPPORTED_CPUID(), count(256));
        assertCovered(kvm, "KVM_GET_EMULATED_CPUID", kvm_x86_64_h.KVM_GET_EMULATED_CPUID(), memory -> {
            kvm_cpuid2.nent(memory, 256);
            // The kernel wants the padding of each entry clean.
            memory.asSlice(kvm_cpuid2.sizeof(), 256 * kvm_cpuid_entry2.sizeof()).fill((byte) 0);
        });
        assertCovered(kvm, "KVM_GET_SUPPORTED_HV_CPUID", kvm_x86_64_h.KVM_GET_SUPPORTED_HV_CPUID(), count(256));
        assertCovered(kvm, "KVM_X86_GET_MCE_CAP_SUPPORTED", kvm_h.KVM_X86_GET_MCE_CAP_SUPPORTED());
    }
}
