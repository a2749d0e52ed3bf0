package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENXIO;

import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The file of a virtual processor. It can be made and mapped; running guest code is not modelled. */
final class VcpuFile extends AnonymousFile {
    static final Ioctls<VcpuFile> IOCTLS = new Ioctls<>(VcpuFile.class, EINVAL)
            .on("KVM_SET_DEVICE_ATTR", kvm_h.KVM_SET_DEVICE_ATTR(), kvm_device_attr.layout(), VcpuFile::setAttr)
            .on("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR(), kvm_device_attr.layout(), VcpuFile::getAttr)
            .on("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR(), kvm_device_attr.layout(), (file, argument) -> {
                tscOffset(argument);
                return 0;
            })
            .notModelled("KVM_RUN", kvm_h.KVM_RUN())
            .notModelled("KVM_GET_REGS", kvm_x86_64_h.KVM_GET_REGS())
            .notModelled("KVM_SET_REGS", kvm_x86_64_h.KVM_SET_REGS())
            .notModelled("KVM_GET_SREGS", kvm_x86_64_h.KVM_GET_SREGS())
            .notModelled("KVM_SET_SREGS", kvm_x86_64_h.KVM_SET_SREGS())
            .notModelled("KVM_SET_CPUID2", kvm_x86_64_h.KVM_SET_CPUID2())
            .notModelled("KVM_GET_MSRS", kvm_x86_64_h.KVM_GET_MSRS())
            .notModelled("KVM_SET_MSRS", kvm_x86_64_h.KVM_SET_MSRS())
            .notModelled("KVM_GET_MP_STATE", kvm_h.KVM_GET_MP_STATE())
            .notModelled("KVM_SET_MP_STATE", kvm_h.KVM_SET_MP_STATE());

    private final Vm vm;
    private final PhysicalMemory.Block run;
    private long tscOffset;

    VcpuFile(Vm vm, int id) {
        super("KVM vCPU " + id);
        this.vm = vm.get();
        this.run = vm.machine().physicalMemory().allocate(KvmFile.VCPU_MMAP_SIZE);
    }

    @Override
    Ioctls<VcpuFile> ioctls() {
        return IOCTLS;
    }

    private static MemorySegment tscOffset(Argument argument) {
        MemorySegment attr = argument.read(0, kvm_device_attr.sizeof());
        Refusal.when(kvm_device_attr.group(attr) != kvm_x86_64_h.KVM_VCPU_TSC_CTRL()
                || kvm_device_attr.attr(attr) != kvm_x86_64_h.KVM_VCPU_TSC_OFFSET(), ENXIO);
        return attr;
    }

    private long setAttr(Argument argument) {
        long address = kvm_device_attr.addr(tscOffset(argument));
        tscOffset = argument.memory().read(address, Long.BYTES).get(ValueLayout.JAVA_LONG, 0);
        return 0;
    }

    private long getAttr(Argument argument) {
        long address = kvm_device_attr.addr(tscOffset(argument));
        MemorySegment value = Argument.allocate(Long.BYTES);
        value.set(ValueLayout.JAVA_LONG, 0, tscOffset);
        argument.memory().write(address, value);
        return 0;
    }

    @Override
    Mapping mmap(MappingRequest request) {
        if (request.offset() + request.length() > KvmFile.VCPU_MMAP_SIZE) {
            throw new NotModelledException("a mapping of pages that a vCPU does not have, whose use is fatal,");
        }
        return new Mapping(run, request.offset(), request.length(), request.writable(), this);
    }

    @Override
    void release() {
        run.put();
        vm.put();
    }
}
