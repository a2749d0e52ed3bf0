/**
 * A model of the kernel behind the same seam, for tests of programs that use this library where there is no KVM and no
 * VFIO: {@link dev.kvmvfio.mock.MockKernel} describes a host, and everything else here is what it is made of.
 */
package dev.kvmvfio.mock;
