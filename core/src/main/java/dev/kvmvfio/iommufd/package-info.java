/**
 * iommufd: the address spaces that devices use when they are reached through their cdevs. Linux 6.6 and later, with
 * {@code CONFIG_IOMMUFD} and {@code CONFIG_VFIO_DEVICE_CDEV}.
 *
 * <p>What it needs: a {@code /dev/iommu} that the user may open, an IOMMU that is on, and a device bound to
 * {@code vfio-pci}. Examples have the imports of the {@linkplain dev.kvmvfio module's page}.
 *
 * <p>{@link dev.kvmvfio.iommufd.Iommufd} is an open {@code /dev/iommu}; devices are bound to it, and each is attached to
 * one of its {@linkplain dev.kvmvfio.iommufd.Ioas address spaces}, which it may share with others. A driver in user
 * space, without a virtual machine, lets the kernel choose the addresses:
 *
 * {@snippet lang=java :
 * try (Iommufd iommufd = Iommufd.open();
 *         VfioCdev cdev = VfioCdev.open(PciDevice.find("0000:6a:01.0"));
 *         HostMemory buffer = HostMemory.allocate(Kernel.linux(), 1 << 16);
 *         BoundDevice device = cdev.bindWithoutKvm(iommufd);
 *         Ioas ioas = iommufd.allocateIoas()) {
 *     device.attach(ioas);
 *     DmaMapping mapping = ioas.map(buffer, DmaAccess.READ_WRITE);
 *     System.out.printf("the device reaches the buffer at 0x%x%n", mapping.iova());
 * }
 * }
 */
@NullMarked
package dev.kvmvfio.iommufd;

import org.jspecify.annotations.NullMarked;
