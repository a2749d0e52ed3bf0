package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.FileDescriptor;

/** What the facet of an architecture needs of the virtual processor that it belongs to. */
public interface VcpuAccess {
    /** The vCPU's file. */
    FileDescriptor fd();

    /** The number that it was created with. */
    int id();

    /** The file of its VM. */
    FileDescriptor vm();

    /** Makes several calls that the guest must not run between. */
    void whilePaused(Runnable calls);
}
