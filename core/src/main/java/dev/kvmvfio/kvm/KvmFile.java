package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.internal.NativeMemory;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.FileHandle;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.ref.Reference;

/**
 * A file of KVM that has attributes: a VM, a vCPU, or a device in the kernel. An attribute is named by a group and a
 * number within it; what they mean is the file's own matter.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public abstract sealed class KvmFile extends FileHandle permits Vm, Vcpu, KvmDevice {
    private static final Ioctl SET_DEVICE_ATTR = new Ioctl("KVM_SET_DEVICE_ATTR", kvm_h.KVM_SET_DEVICE_ATTR());
    private static final Ioctl GET_DEVICE_ATTR = new Ioctl("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR());
    private static final Ioctl HAS_DEVICE_ATTR = new Ioctl("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR());

    KvmFile(FileDescriptor fd, int rank) {
        super(fd, rank);
    }

    /**
     * {@code KVM_HAS_DEVICE_ATTR}. Needs Linux 3.10 on a device, later on a VM or a vCPU.
     *
     * @param group the attribute's group
     * @param attribute the attribute within the group
     * @return whether it can be set or got; false also where the file has no attributes at all
     */
    public final boolean hasAttr(int group, long attribute) {
        return fd().ioctl(HAS_DEVICE_ATTR, struct(Scratch.begin(), group, attribute, 0)) == 0;
    }

    /**
     * {@code KVM_SET_DEVICE_ATTR}.
     *
     * @param group the attribute's group
     * @param attribute the attribute within the group
     * @param value the native memory that the attribute's value is in, of the size that the attribute defines
     * @throws IllegalArgumentException when it is on Java's heap
     * @throws KernelException when the kernel refuses: {@code EPERM} when nothing of this file can be set,
     *         {@code ENXIO} when it has no such attribute, or what the attribute itself answers
     */
    public final void setAttr(int group, long attribute, MemorySegment value) {
        check(SET_DEVICE_ATTR, group, attribute, trySetAttr(group, attribute, value));
    }

    /**
     * {@code KVM_SET_DEVICE_ATTR} for a caller who expects to be refused, or who can name the attribute in an
     * exception of its own.
     *
     * @param group the attribute's group
     * @param attribute the attribute within the group
     * @param value the native memory that the attribute's value is in
     * @return 0 or a negative errno
     * @throws IllegalArgumentException when it is on Java's heap
     */
    public final int trySetAttr(int group, long attribute, MemorySegment value) {
        NativeMemory.require(value, SET_DEVICE_ATTR.name(), fd());
        return transfer(SET_DEVICE_ATTR, group, attribute, value);
    }

    /**
     * {@code KVM_GET_DEVICE_ATTR}.
     *
     * @param group the attribute's group
     * @param attribute the attribute within the group
     * @param value the native memory that the kernel writes the value to, of the size that the attribute defines
     * @throws IllegalArgumentException when it is on Java's heap or read-only
     * @throws KernelException when the kernel refuses: {@code EPERM} when nothing of this file can be got,
     *         {@code ENXIO} when it has no such attribute, or what the attribute itself answers
     */
    public final void attr(int group, long attribute, MemorySegment value) {
        NativeMemory.requireWritable(value, GET_DEVICE_ATTR.name(), fd());
        check(GET_DEVICE_ATTR, group, attribute, transfer(GET_DEVICE_ATTR, group, attribute, value));
    }

    private int transfer(Ioctl call, int group, long attribute, MemorySegment value) {
        // Not the thread's scratch memory: the value may be there.
        try (Arena arena = Arena.ofConfined()) {
            return fd().ioctl(call, struct(arena, group, attribute, value.address()));
        } finally {
            // Until here, because the address alone keeps nothing.
            Reference.reachabilityFence(value);
        }
    }

    private void check(Ioctl call, int group, long attribute, int result) {
        if (result < 0) {
            throw new KernelException(call.name(), fd(), "group=" + group + ", attr=" + attribute, result, "");
        }
    }

    private static MemorySegment struct(SegmentAllocator memory, int group, long attribute, long address) {
        MemorySegment attr = memory.allocate(kvm_device_attr.layout());
        kvm_device_attr.group(attr, group);
        kvm_device_attr.attr(attr, attribute);
        kvm_device_attr.addr(attr, address);
        return attr;
    }
}
