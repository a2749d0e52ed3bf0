package dev.kvmvfio.it;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.it.vmm.Assembler;
import dev.kvmvfio.it.vmm.LongMode;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import dev.kvmvfio.kvm.Vm;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Small guests without an operating system on the machine's own KVM, on x86-64. */
@Tag("kvm")
class RealVcpuTest {
    private static final long ENTRY = 0x10000;
    private static final long STACK = 0x20000;
    private static final long DEVICE = 0xd000_0000L;
    private final Kvm kvm = Kvm.open();
    private final Vm vm = kvm.createVm();
    private final HostMemory ram = HostMemory.allocate(Kernel.linux(), 1 << 20);

    @AfterEach
    void close() {
        kvm.close();
        ram.close();
    }

    private Vcpu guest(byte[] program) {
        MemorySegment.copy(MemorySegment.ofArray(program), 0, ram.segment(), ENTRY, program.length);
        vm.addMemory(0, ram);
        Vcpu vcpu = vm.createVcpu(0);
        vcpu.x86().setCpuid(kvm.supportedCpuid());
        LongMode.enter(vcpu, ram.segment(), ENTRY, STACK);
        return vcpu;
    }

    private static Assembler program() {
        return new Assembler(ENTRY);
    }

    @Test
    void writesToAPortAndHalts() {
        Vcpu vcpu = guest(program().out(0x3f8, 1, 'A').hlt().assemble());
        assertThat(vcpu.run()).isInstanceOfSatisfying(VcpuExit.PortWrite.class, out -> {
            assertThat(out.port()).isEqualTo(0x3f8);
            assertThat(out.size()).isEqualTo(1);
            assertThat(out.count()).isEqualTo(1);
            assertThat(out.value()).isEqualTo('A');
            assertThat(out).hasToString("write of 0x41 to port 0x3f8 (1 byte)");
        });
        assertThat(vcpu.run()).isEqualTo(VcpuExit.Halt.INSTANCE);
    }
}
