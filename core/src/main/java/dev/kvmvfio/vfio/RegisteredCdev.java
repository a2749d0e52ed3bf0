package dev.kvmvfio.vfio;

import dev.kvmvfio.internal.OneKernel;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.KernelException;

/** A cdev that KVM knows of, and that can therefore be bound. */
public final class RegisteredCdev extends Registration<VfioCdev> {
    RegisteredCdev(KvmVfioDevice kvmVfio, VfioCdev cdev) {
        super(kvmVfio, cdev);
    }

    /**
     * {@code VFIO_DEVICE_BIND_IOMMUFD}. Needs Linux 6.6.
     *
     * @param iommufd where it shall be bound
     * @return the device, which belongs to this registration and to the iommufd; closing it takes the cdev from KVM and closes the cdev
     * @throws IllegalArgumentException when the iommufd is of another kernel
     * @throws ClosedException when this registration is closed
     * @throws KernelException when the kernel refuses; the message says why
     */
    public BoundGuestDevice bind(Iommufd iommufd) {
        OneKernel.require(file().fd(), iommufd.fd());
        return BoundGuestDevice.bind(this, iommufd);
    }

    /** The device's file is the registered one, and a closed file cannot be named to KVM. */
    @Override
    boolean deviceCloses() {
        return unregister();
    }
}
