package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.OneKernel;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.KvmDevice;
import dev.kvmvfio.kvm.KvmDeviceType;
import dev.kvmvfio.kvm.Vm;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * KVM's device of type {@code KVM_DEV_TYPE_VFIO}, through which a VM learns of the VFIO devices it is given. A VM has
 * at most one. It belongs to its VM, and the registrations belong to it.
 *
 * <p>The kernel looks at a registration when the device is opened, and never says when that was too early. That is why
 * a device can be opened only through what {@code add} returns.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class KvmVfioDevice extends Handle {
    private final Vm vm;
    private volatile @Nullable KvmDevice device;

    private KvmVfioDevice(Vm vm) {
        super(Rank.KVM_VFIO);
        this.vm = vm;
    }

    /**
     * {@code KVM_CREATE_DEVICE} of {@code KVM_DEV_TYPE_VFIO}. Needs Linux 3.13.
     *
     * @param vm whose device it shall be
     * @return the device, which belongs to the VM
     * @throws KernelException when the kernel refuses; {@code EBUSY} when the VM has one
     */
    public static KvmVfioDevice create(Vm vm) {
        return Lifecycle.complete(Lifecycle.adopt(new KvmVfioDevice(vm), vm),
                created -> created.device = Lifecycle.adopt(vm.createDevice(KvmDeviceType.VFIO), created));
    }

    /**
     * {@code KVM_DEV_VFIO_FILE_ADD} of a cdev. Needs Linux 6.6.
     *
     * @param cdev an open cdev; it is not closed with the registration unless it was bound
     * @return the registration, which belongs to this device
     * @throws IllegalArgumentException when it is of another kernel
     * @throws IllegalStateException when it is bound already, or registered with another VM
     * @throws KernelException when the kernel refuses; {@code EEXIST} when it was added already, {@code EINVAL} when
     *         the kernel takes groups only
     */
    public RegisteredCdev add(VfioCdev cdev) {
        return add(new RegisteredCdev(this, cdev));
    }

    /**
     * {@code KVM_DEV_VFIO_FILE_ADD} of a group; before Linux 6.6 it was named {@code KVM_DEV_VFIO_GROUP_ADD}.
     *
     * @param group an open group; it is not closed with the registration
     * @return the registration, which belongs to this device
     * @throws IllegalArgumentException when it is of another kernel
     * @throws IllegalStateException when one of its devices was opened without KVM, or it is registered with another VM
     * @throws KernelException when the kernel refuses; {@code EEXIST} when it was added already
     */
    public RegisteredGroup add(VfioGroup group) {
        return add(new RegisteredGroup(this, group));
    }

    private <R extends Registration<?>> R add(R registration) {
        OneKernel.require(vm.fd(), registration.file().fd());
        registration.file().checkRegistration(this);
        return Lifecycle.complete(Lifecycle.adopt(registration, this, kvmDevice(), registration.file()),
                Registration::add);
    }

    void register(VfioFile file) {
        int result = set(kvm_h.KVM_DEV_VFIO_FILE_ADD(), file);
        if (result < 0) {
            String remedy = switch (Errno.of(-result)) {
                case EEXIST -> "This file is registered with this VM already";
                case EINVAL -> "A kernel before 6.6 takes groups only: use the group interface";
                default -> "";
            };
            throw new KernelException("KVM_DEV_VFIO_FILE_ADD", this, "file=" + file, result, remedy);
        }
    }

    void delete(VfioFile file) {
        int result = set(kvm_h.KVM_DEV_VFIO_FILE_DEL(), file);
        if (result < 0) {
            throw new KernelException("KVM_DEV_VFIO_FILE_DEL", this, "file=" + file, result, "");
        }
    }

    private int set(int attribute, VfioFile file) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment argument = arena.allocate(ValueLayout.JAVA_INT);
            return file.fd().lend(number -> {
                argument.set(ValueLayout.JAVA_INT, 0, number);
                return kvmDevice().trySetAttr(kvm_h.KVM_DEV_VFIO_FILE(), attribute, argument);
            });
        }
    }

    /**
     * The VM that learns of the files.
     *
     * @return the owner of this device
     */
    public Vm vm() {
        return vm;
    }

    /**
     * The device's own file and attributes.
     *
     * @return closed with this object
     * @throws IllegalStateException while it is being made
     */
    public KvmDevice kvmDevice() {
        return Lifecycle.part(device, this);
    }

    @Override
    public String toString() {
        KvmDevice made = device;
        return made == null ? "KVM-VFIO device of " + vm : made.toString();
    }
}
