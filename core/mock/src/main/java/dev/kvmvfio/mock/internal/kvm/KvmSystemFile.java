package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENXIO;

import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.OpenFile;
import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;

/** {@code /dev/kvm}. */
final class KvmSystemFile extends OpenFile {
    /** {@code struct kvm_run}, the page for port I/O data, and the ring of coalesced writes. */
    static final int VCPU_MMAP_SIZE = 3 * (int) PhysicalMemory.PAGE;

    static final IoctlTable<KvmSystemFile> IOCTLS = new IoctlTable<>(KvmSystemFile.class, EINVAL)
            .on("KVM_GET_API_VERSION", kvm_h.KVM_GET_API_VERSION(), (file, argument) -> {
                Refusal.when(argument.number() != 0, EINVAL);
                return kvm_h.KVM_API_VERSION();
            })
            .on("KVM_CREATE_VM", kvm_h.KVM_CREATE_VM(), KvmSystemFile::createVm)
            .on("KVM_CHECK_EXTENSION", kvm_h.KVM_CHECK_EXTENSION(),
                    (file, argument) -> KvmCapabilities.of(file.machine, argument.number()))
            .on("KVM_GET_VCPU_MMAP_SIZE", kvm_h.KVM_GET_VCPU_MMAP_SIZE(), (file, argument) -> {
                Refusal.when(argument.number() != 0, EINVAL);
                return VCPU_MMAP_SIZE;
            })
            .on("KVM_GET_SUPPORTED_CPUID", kvm_x86_64_h.KVM_GET_SUPPORTED_CPUID(),
                    (file, argument) -> Cpuid.supported(argument))
            .notModelled("KVM_GET_EMULATED_CPUID", kvm_x86_64_h.KVM_GET_EMULATED_CPUID())
            .notModelled("KVM_GET_MSR_INDEX_LIST", kvm_x86_64_h.KVM_GET_MSR_INDEX_LIST())
            .notModelled("KVM_GET_MSR_FEATURE_INDEX_LIST", kvm_x86_64_h.KVM_GET_MSR_FEATURE_INDEX_LIST())
            .notModelled("KVM_GET_MSRS", kvm_x86_64_h.KVM_GET_MSRS())
            .notModelled("KVM_GET_SUPPORTED_HV_CPUID", kvm_x86_64_h.KVM_GET_SUPPORTED_HV_CPUID())
            .notModelled("KVM_X86_GET_MCE_CAP_SUPPORTED", kvm_h.KVM_X86_GET_MCE_CAP_SUPPORTED())
            .on("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR(), kvm_device_attr.layout(),
                    KvmSystemFile::processorAttr)
            .on("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR(), kvm_device_attr.layout(),
                    KvmSystemFile::processorAttr);

    private final Machine machine;

    KvmSystemFile(Machine machine) {
        super("/dev/kvm");
        this.machine = machine;
    }

    @Override
    protected IoctlTable<KvmSystemFile> ioctls() {
        return IOCTLS;
    }

    /** Tells of the processor's extended state and of its encryption, and knows nothing else. */
    private static long processorAttr(KvmSystemFile file, Argument argument) {
        MemorySegment attr = argument.read(0, kvm_device_attr.sizeof());
        int group = kvm_device_attr.group(attr);
        long last = group == kvm_x86_64_h.KVM_X86_GRP_SEV() && file.machine.isAtLeast(KernelProfile.V7_2)
                ? kvm_x86_64_h.KVM_X86_SNP_POLICY_BITS()
                : 0;
        if ((group == 0 || group == kvm_x86_64_h.KVM_X86_GRP_SEV())
                && Long.compareUnsigned(kvm_device_attr.attr(attr), last) <= 0) {
            throw new NotModelledException("an attribute of the processor");
        }
        throw Refusal.of(ENXIO);
    }

    private long createVm(Argument argument) {
        Refusal.when(argument.number() != kvm_x86_64_h.KVM_X86_DEFAULT_VM(), EINVAL);
        return machine.files().install(new VmFile(new VirtualMachine(machine)));
    }
}
