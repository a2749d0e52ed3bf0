/**
 * PCI devices, their drivers and their IOMMU groups, as sysfs shows them.
 *
 * <p>To look, nothing is needed but sysfs; to bind a device to another driver, root. Examples have the imports of the
 * {@linkplain dev.kvmvfio module's page}.
 *
 * <p>Nothing here opens a device. {@link dev.kvmvfio.pci.PciDevice} tells what one is and who drives it, and
 * {@link dev.kvmvfio.pci.IommuGroup} which devices the IOMMU cannot tell from it, so that they go to one owner together:
 *
 * {@snippet lang=java :
 * for (PciDevice device : PciDevice.list(Kernel.linux())) {
 *     String driver = device.driver().orElse("no driver");
 *     System.out.println(device.address() + " " + driver + " "
 *             + device.iommuGroup().map(IommuGroup::describe).orElse("no IOMMU group"));
 * }
 * }
 *
 * <p>{@link dev.kvmvfio.pci.DriverBinding} binds a device to another driver, and back:
 *
 * {@snippet lang=java :
 * DriverBinding before = DriverBinding.bind(PciDevice.find("0000:6a:01.0"), "vfio-pci");
 * before.restore();
 * }
 */
@NullMarked
package dev.kvmvfio.pci;

import org.jspecify.annotations.NullMarked;
