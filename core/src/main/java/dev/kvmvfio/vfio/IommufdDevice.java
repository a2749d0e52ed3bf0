package dev.kvmvfio.vfio;

import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.KernelException;

/**
 * What iommufd knows a device by: a {@link BoundGuestDevice}, of which a VM knows too, or a {@link BoundDevice}. It does
 * DMA once it is attached to an address space.
 *
 * <p>Closing the device also detaches it, and closes its {@link VfioCdev}, because only that ends a binding.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public sealed interface IommufdDevice permits BoundDevice, BoundGuestDevice {
    /**
     * The number that iommufd knows it by.
     *
     * @return unique among everything in its iommufd
     */
    int id();

    /**
     * The iommufd that it is bound to.
     *
     * @return as it was bound
     */
    Iommufd iommufd();

    /**
     * {@code VFIO_DEVICE_ATTACH_IOMMUFD_PT}: from now on the device reaches what is mapped in an address space, and only
     * that. An attachment that was there before is replaced, without a moment in between. Needs Linux 6.6.
     *
     * @param ioas an address space of the same iommufd
     * @return the attachment, whose close detaches the device
     * @throws IllegalArgumentException when the address space is of another iommufd
     * @throws KernelException when the kernel refuses; the message says why
     */
    Attachment attach(Ioas ioas);
}
