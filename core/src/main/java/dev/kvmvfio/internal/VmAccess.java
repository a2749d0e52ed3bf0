package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.FileDescriptor;

/** What the facet of an architecture needs of the virtual machine that it belongs to. */
public interface VmAccess {
    /** The VM's file. */
    FileDescriptor fd();

    /** The kernel now has interrupt controllers, and the first GSIs are the program's own, without a route yet. */
    void startRoutes(int reserved);
}
