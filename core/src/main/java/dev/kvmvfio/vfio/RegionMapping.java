package dev.kvmvfio.vfio;

import dev.kvmvfio.kernel.MappedMemory;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/**
 * A part of a device's region as memory. A guest can be given it as a memory slot, and then reaches the device without
 * the VMM.
 *
 * <p>It holds the device's file open. It is closed with its device, and takes its memory slots out of their VMs first;
 * after that its segment and its methods throw.
 *
 * <p>The registers' methods make one access of exactly that width, which the compiler neither drops nor repeats, and
 * order nothing else around it.
 */
public final class RegionMapping extends MappedMemory {
    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();
    private static final VarHandle LONG = ValueLayout.JAVA_LONG.varHandle();

    private final Region region;
    private final long offset;

    RegionMapping(Region region, long offset, long address, long size) {
        super(region.device().fd().kernel(), address, size);
        this.region = region;
        this.offset = offset;
    }

    /**
     * The region that it maps.
     *
     * @return the whole region
     */
    public Region region() {
        return region;
    }

    /**
     * Where it begins.
     *
     * @return bytes from the start of the region
     */
    public long offset() {
        return offset;
    }

    /**
     * Reads a register of four bytes.
     *
     * @param position within this mapping, in bytes; a multiple of four
     * @return its value
     * @throws IllegalStateException when this mapping or its device is closed
     */
    public int readInt(long position) {
        return (int) INT.getOpaque(segment(), position);
    }

    /**
     * Writes a register of four bytes. What this thread wrote to memory before is visible to the device by then.
     *
     * @param position within this mapping, in bytes; a multiple of four
     * @param value the new value
     * @throws IllegalStateException when this mapping or its device is closed
     */
    public void writeInt(long position, int value) {
        INT.setRelease(segment(), position, value);
    }

    /**
     * Reads a register of eight bytes.
     *
     * @param position within this mapping, in bytes; a multiple of eight
     * @return its value
     * @throws IllegalStateException when this mapping or its device is closed
     */
    public long readLong(long position) {
        return (long) LONG.getOpaque(segment(), position);
    }

    /**
     * Writes a register of eight bytes. What this thread wrote to memory before is visible to the device by then.
     *
     * @param position within this mapping, in bytes; a multiple of eight
     * @param value the new value
     * @throws IllegalStateException when this mapping or its device is closed
     */
    public void writeLong(long position, long value) {
        LONG.setRelease(segment(), position, value);
    }

    @Override
    public String toString() {
        return String.format("mapping of 0x%x bytes at 0x%x of %s", size(), offset, region);
    }
}
