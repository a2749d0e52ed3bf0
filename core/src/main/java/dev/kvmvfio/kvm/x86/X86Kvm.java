package dev.kvmvfio.kvm.x86;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.internal.Answer;
import dev.kvmvfio.internal.ArchitectureAccess;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * What KVM tells about the host's processors on x86-64: {@code kvm.x86()}.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class X86Kvm {
    static {
        ArchitectureAccess.set(new X86Facets());
    }

    private static final Ioctl GET_SUPPORTED_CPUID = new Ioctl("KVM_GET_SUPPORTED_CPUID",
            kvm_x86_64_h.KVM_GET_SUPPORTED_CPUID());
    private static final int CPUID_ENTRIES = 128;

    private final FileDescriptor fd;

    X86Kvm(FileDescriptor fd) {
        this.fd = fd;
    }

    /**
     * {@code KVM_GET_SUPPORTED_CPUID}: what a guest's {@code CPUID} may answer here.
     *
     * @return the entries, with the APIC id of the host's processor that this was asked on;
     *         {@link X86Vcpu#setCpuid} puts the vCPU's own in its place
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when it has more entries than there is room for
     */
    public List<CpuidEntry> supportedCpuid() {
        try (Arena arena = Arena.ofConfined()) {
            int entries = CPUID_ENTRIES;
            while (true) {
                MemorySegment cpuid = CpuidEntry.allocate(arena, entries);
                int result = fd.ioctl(GET_SUPPORTED_CPUID, cpuid);
                if (result >= 0) {
                    return CpuidEntry.read(new Answer(GET_SUPPORTED_CPUID.name(), fd), cpuid);
                }
                if (!Errno.E2BIG.is(result) || entries >= 1 << 16) {
                    throw new KernelException(GET_SUPPORTED_CPUID.name(), fd, "nent=" + entries, result, "");
                }
                entries *= 2;
            }
        }
    }
}
