package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.ENOTTY;
import static dev.kvmvfio.kernel.Errno.ENXIO;
import static dev.kvmvfio.kernel.Errno.EPERM;

import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.mock.internal.system.AnonymousFile;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.system.OpenFile;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.lang.foreign.MemorySegment;

/** The file of the one KVM device that x86-64 has: KVM-VFIO, which only takes attributes. */
final class KvmDeviceFile extends AnonymousFile {
    static final IoctlTable<KvmDeviceFile> IOCTLS = new IoctlTable<>(KvmDeviceFile.class, ENOTTY)
            .on("KVM_SET_DEVICE_ATTR", kvm_h.KVM_SET_DEVICE_ATTR(), kvm_device_attr.layout(), KvmDeviceFile::setAttr)
            .on("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR(), kvm_device_attr.layout(), (file, argument) -> {
                throw Refusal.of(EPERM);
            })
            .on("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR(), kvm_device_attr.layout(), (file, argument) -> {
                fileAttr(argument);
                return 0;
            });

    private final VirtualMachine vm;
    private final KvmVfio device;

    KvmDeviceFile(VirtualMachine vm) {
        super("KVM-VFIO device");
        this.vm = vm.get();
        this.device = new KvmVfio(vm);
        vm.setVfio(device);
    }

    @Override
    protected IoctlTable<KvmDeviceFile> ioctls() {
        return IOCTLS;
    }

    /** Reads an attribute that has to be one of the two which add and remove a file. */
    private static MemorySegment fileAttr(Argument argument) {
        MemorySegment attr = argument.read(0, kvm_device_attr.sizeof());
        Refusal.when(kvm_device_attr.group(attr) != kvm_h.KVM_DEV_VFIO_FILE()
                || !isAdd(attr) && kvm_device_attr.attr(attr) != kvm_h.KVM_DEV_VFIO_FILE_DEL(), ENXIO);
        return attr;
    }

    private static boolean isAdd(MemorySegment attr) {
        return kvm_device_attr.attr(attr) == kvm_h.KVM_DEV_VFIO_FILE_ADD();
    }

    private long setAttr(Argument argument) {
        MemorySegment attr = fileAttr(argument);
        MemorySegment address = MemorySegment.ofAddress(kvm_device_attr.addr(attr));
        OpenFile file = vm.machine().files().get(new Argument(argument.memory(), address).readInt(0));
        if (isAdd(attr)) {
            device.add(file);
        } else {
            device.remove(file);
        }
        return 0;
    }

    @Override
    protected void release() {
        vm.setVfio(null);
        device.release();
        vm.put();
    }
}
