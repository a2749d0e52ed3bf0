/**
 * VFIO: files that stand for devices, their registration with KVM, the devices themselves, and what a guest gets of
 * them.
 *
 * <p>What it needs: an IOMMU that is on, and a device that is bound to {@code vfio-pci}, as
 * {@link dev.kvmvfio.pci.DriverBinding} does. By its group (the devices that the IOMMU cannot tell apart) a device is
 * reached on every kernel with VFIO; by its cdev (a file of its own, in {@code /dev/vfio/devices}) and iommufd on Linux 6.6
 * and later. Examples have the imports of the {@linkplain dev.kvmvfio module's page}.
 *
 * <p>A device of a virtual machine is opened through its registration, and in no other way. By the cdev:
 *
 * {@snippet :
 * VfioCdev cdev = VfioCdev.open(PciDevice.find("0000:6a:01.0"));
 * KvmVfioDevice kvmVfio = KvmVfioDevice.create(Kvm.open().createVm());
 * Iommufd iommufd = Iommufd.open();
 * BoundGuestDevice device = kvmVfio.add(cdev).bind(iommufd);
 * device.attach(iommufd.allocateIoas());
 * }
 *
 * and by the group:
 *
 * {@snippet :
 * VfioGroup group = VfioGroup.open(PciDevice.find("0000:6a:01.0").iommuGroup().orElseThrow());
 * VfioContainer container = VfioContainer.open(group);
 * KvmVfioDevice kvmVfio = KvmVfioDevice.create(Kvm.open().createVm());
 * GuestDevice device = kvmVfio.add(group).openDevice(container, PciAddress.parse("0000:6a:01.0"));
 * }
 *
 * <p>Opened in this way it is a {@link dev.kvmvfio.vfio.GuestDevice}, which knows its VM and gives it the device's BARs and
 * interrupts. A driver in user space opens a plain {@link dev.kvmvfio.vfio.VfioDevice} by the methods whose names end in
 * {@code WithoutKvm}.
 */
@NullMarked
package dev.kvmvfio.vfio;

import org.jspecify.annotations.NullMarked;
