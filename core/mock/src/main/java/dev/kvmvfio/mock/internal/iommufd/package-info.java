/**
 * {@code /dev/iommu}: its commands, its objects, and how it answers the calls of a VFIO container.
 */
package dev.kvmvfio.mock.internal.iommufd;
