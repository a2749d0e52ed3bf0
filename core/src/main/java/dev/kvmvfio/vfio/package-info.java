/**
 * VFIO: files that stand for devices, their registration with KVM, and the devices themselves.
 *
 * <p>A device of a virtual machine is opened through its registration, and in no other way. By the cdev:
 *
 * {@snippet :
 * VfioCdev cdev = VfioCdev.open(PciDevice.find("0000:6a:01.0"));
 * KvmVfioDevice kvmVfio = KvmVfioDevice.create(Kvm.open().createVm());
 * Iommufd iommufd = Iommufd.open();
 * BoundDevice device = kvmVfio.add(cdev).bind(iommufd);
 * device.attach(iommufd.allocateIoas());
 * }
 *
 * and by the group:
 *
 * {@snippet :
 * VfioGroup group = VfioGroup.open(PciDevice.find("0000:6a:01.0").iommuGroup().orElseThrow());
 * VfioContainer container = VfioContainer.open(group);
 * KvmVfioDevice kvmVfio = KvmVfioDevice.create(Kvm.open().createVm());
 * VfioDevice device = kvmVfio.add(group).openDevice(container, PciAddress.parse("0000:6a:01.0"));
 * }
 */
package dev.kvmvfio.vfio;
