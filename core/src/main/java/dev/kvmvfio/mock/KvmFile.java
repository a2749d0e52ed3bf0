package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;

/** {@code /dev/kvm}. */
final class KvmFile extends OpenFile {
    /** {@code struct kvm_run}, the page for port I/O data, and the ring of coalesced writes. */
    static final int VCPU_MMAP_SIZE = 3 * (int) PhysicalMemory.PAGE;

    static final Ioctls<KvmFile> IOCTLS = new Ioctls<>(KvmFile.class, EINVAL)
            .on("KVM_GET_API_VERSION", kvm_h.KVM_GET_API_VERSION(), (file, argument) -> {
                Refusal.when(argument.number() != 0, EINVAL);
                return kvm_h.KVM_API_VERSION();
            })
            .on("KVM_CREATE_VM", kvm_h.KVM_CREATE_VM(), KvmFile::createVm)
            .on("KVM_CHECK_EXTENSION", kvm_h.KVM_CHECK_EXTENSION(),
                    (file, argument) -> KvmCapabilities.of(file.machine.profile(), argument.number()))
            .on("KVM_GET_VCPU_MMAP_SIZE", kvm_h.KVM_GET_VCPU_MMAP_SIZE(), (file, argument) -> {
                Refusal.when(argument.number() != 0, EINVAL);
                return VCPU_MMAP_SIZE;
            })
            .notModelled("KVM_GET_SUPPORTED_CPUID", kvm_x86_64_h.KVM_GET_SUPPORTED_CPUID())
            .notModelled("KVM_GET_EMULATED_CPUID", kvm_x86_64_h.KVM_GET_EMULATED_CPUID())
            .notModelled("KVM_GET_MSR_INDEX_LIST", kvm_x86_64_h.KVM_GET_MSR_INDEX_LIST())
            .notModelled("KVM_GET_MSR_FEATURE_INDEX_LIST", kvm_x86_64_h.KVM_GET_MSR_FEATURE_INDEX_LIST())
            .notModelled("KVM_GET_MSRS", kvm_x86_64_h.KVM_GET_MSRS())
            .notModelled("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR())
            .notModelled("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR());

    private final Machine machine;

    KvmFile(Machine machine) {
        super("/dev/kvm");
        this.machine = machine;
    }

    @Override
    Ioctls<KvmFile> ioctls() {
        return IOCTLS;
    }

    @Override
    long pread(Buffer buffer, long offset) {
        throw Refusal.of(EINVAL);
    }

    @Override
    long pwrite(Buffer buffer, long offset) {
        throw Refusal.of(EINVAL);
    }

    private long createVm(Argument argument) {
        Refusal.when(argument.number() != kvm_x86_64_h.KVM_X86_DEFAULT_VM(), EINVAL);
        return machine.files().install(new VmFile(new Vm(machine)));
    }
}
