package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EFAULT;

import java.lang.foreign.MemorySegment;

/**
 * The memory of the process as the kernel reaches it: by an address that may be anything. What this mock mapped itself
 * is known; every other address is asked for by way of the {@link Bounce}, which answers instead of crashing.
 */
public final class UserMemory {
    /** Programs have no first page, and nothing from the last page of 47 bits upwards. */
    private static final long LOWEST = 4096;
    private static final long END = (1L << 47) - 4096;

    private final AddressSpace mapped;

    UserMemory(AddressSpace mapped) {
        this.mapped = mapped;
    }

    /** {@code access_ok}: whether a program can have memory there at all. */
    public static boolean isUserRange(long address, long bytes) {
        return address >= 0 && bytes >= 0 && bytes <= END && address <= END - bytes;
    }

    public MemorySegment read(long address, long bytes) {
        MemorySegment copy = Argument.allocate(bytes);
        if (bytes == 0) {
            return copy;
        }
        Mapping mapping = mapped.covering(address, bytes);
        if (mapping != null) {
            MemorySegment.copy(mapping.memory(), address - mapping.address(), copy, 0, bytes);
        } else {
            check(address, bytes);
            Bounce.in(address, copy);
        }
        return copy;
    }

    public void write(long address, MemorySegment from) {
        if (from.byteSize() == 0) {
            return;
        }
        Mapping mapping = mapped.covering(address, from.byteSize());
        if (mapping != null) {
            Refusal.when(!mapping.writable(), EFAULT);
            MemorySegment.copy(from, 0, mapping.memory(), address - mapping.address(), from.byteSize());
        } else {
            check(address, from.byteSize());
            Bounce.out(from, address);
        }
    }

    /**
     * Whether every page can be read. Of memory that is not this mock's own, whether it can be written stays unknown.
     */
    boolean isMapped(long address, long bytes) {
        return mapped.covering(address, bytes) != null
                || address >= LOWEST && isUserRange(address, bytes) && Bounce.isMapped(address, bytes);
    }

    private static void check(long address, long bytes) {
        Refusal.when(address < LOWEST || !isUserRange(address, bytes), EFAULT);
    }
}
