package dev.kvmvfio.mock.internal.system;

import dev.kvmvfio.bindings.vfio.vfio_info_cap_header;
import dev.kvmvfio.mock.model.KernelProfile;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** Capabilities that follow an info struct of VFIO, each with the offset of the next. */
public final class CapabilityChain {
    private static final int VERSION = 1;

    private final int start;
    private final boolean aligned;
    private final List<MemorySegment> capabilities = new ArrayList<>();

    /**
     * An empty chain.
     *
     * @param start the size of the struct that it follows
     */
    public CapabilityChain(int start, Machine machine) {
        this.start = start;
        this.aligned = machine.isAtLeast(KernelProfile.V6_12);
    }

    /** Adds a capability, which begins with room for its header. */
    public void add(int id, MemorySegment capability) {
        setHeader(capability, id, VERSION);
        if (!capabilities.isEmpty()) {
            vfio_info_cap_header.next(capabilities.getLast(), end());
        }
        long padded = aligned ? capability.byteSize() + 7 & -8 : capability.byteSize();
        MemorySegment copy = Argument.allocate(padded);
        capabilities.add(copy.copyFrom(capability));
    }

    private static void setHeader(MemorySegment capability, int id, int version) {
        vfio_info_cap_header.id(capability, (short) id);
        vfio_info_cap_header.version(capability, (short) version);
    }

    boolean isEmpty() {
        return capabilities.isEmpty();
    }

    /** The size of the struct with all its capabilities. */
    public int end() {
        return start + (int) capabilities.stream().mapToLong(MemorySegment::byteSize).sum();
    }

    /** Writes the capabilities that fit into the user's room; a chain may be cut off there. */
    public void write(Argument argument, long room) {
        long offset = start;
        for (MemorySegment capability : capabilities) {
            if (offset + capability.byteSize() > room) {
                return;
            }
            argument.write(offset, capability);
            offset += capability.byteSize();
        }
    }
}
