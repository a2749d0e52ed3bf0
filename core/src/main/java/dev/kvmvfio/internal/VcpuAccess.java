package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Ioctl;
import java.lang.foreign.MemorySegment;

/** What the facet of an architecture needs of the virtual processor that it belongs to. */
public interface VcpuAccess {
    /** The vCPU's file. */
    FileDescriptor fd();

    /** The number that it was created with. */
    int id();

    /** The file of its VM. */
    FileDescriptor vm();

    /** Makes a call that reads the vCPU's state; the result or a negative errno. */
    int read(Ioctl call, MemorySegment argument);

    /** Makes a call that writes to the vCPU's state; the result or a negative errno. */
    int write(Ioctl call, MemorySegment argument);

    /** Makes several calls on the vCPU that nothing may come between, neither the guest nor another thread. */
    void update(Runnable calls);
}
