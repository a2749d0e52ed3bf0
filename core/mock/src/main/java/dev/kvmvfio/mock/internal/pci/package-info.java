/**
 * The PCI bus with its functions, drivers and IOMMU groups, and the IOMMU: hardware, and what sysfs tells of it.
 */
package dev.kvmvfio.mock.internal.pci;
