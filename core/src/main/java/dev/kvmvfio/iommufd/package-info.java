/** iommufd: the address spaces that devices use when they are reached through their cdevs. */
package dev.kvmvfio.iommufd;
