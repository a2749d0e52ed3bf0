/** PCI devices, their drivers and their IOMMU groups, as sysfs shows them. */
package dev.kvmvfio.pci;
