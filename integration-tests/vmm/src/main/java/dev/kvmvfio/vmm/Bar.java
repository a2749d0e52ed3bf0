package dev.kvmvfio.vmm;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.vfio.GuestBar;
import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.Region;

/**
 * A memory BAR of a device in the guest. What can be mapped of it is memory slots, so the guest reaches the device
 * itself; the rest, such as the page of the MSI-X table, comes here.
 *
 * <p>The guest finds the size by writing ones, and places the BAR by writing an address, which is the register's usual
 * behaviour when the bits below the size are fixed. It may do so at any time: while the device decodes memory, the slots
 * follow.
 */
final class Bar {
    private static final int IO = 0x1;
    private static final int TYPE = 0xf;
    private static final int WIDE = 0x4;
    private static final long NOWHERE = -1;

    private final ConfigSpace config;
    private final GuestBar slots;
    private final Region region;
    private final int register;
    private final int width;

    /** Emulates the register. */
    Bar(GuestDevice device, ConfigSpace config, Region region) {
        this.config = config;
        this.region = region;
        this.register = register(region);
        int type = config.readDevice(register, Integer.BYTES) & TYPE;
        this.width = (type & WIDE) != 0 ? Long.BYTES : Integer.BYTES;
        this.slots = device.mapBar(region.index());
        config.emulate(register, width, type, -region.size());
    }

    private static int register(Region region) {
        return ConfigSpace.BARS + Integer.BYTES * (region.index() - Region.BAR0);
    }

    /** Whether a region is a BAR of memory that the device has; the guest finds no other. */
    static boolean isMemory(ConfigSpace config, Region region) {
        return region.index() < Region.ROM && region.size() > 0
                && (config.readDevice(register(region), Integer.BYTES) & IO) == 0;
    }

    Region region() {
        return region;
    }

    /** Follows what the guest wrote to the command register or to the BAR's own. */
    void follow(boolean decoding) {
        long address = decoding ? programmed() : NOWHERE;
        if (address == NOWHERE) {
            slots.remove();
        } else {
            place(address);
        }
    }

    /**
     * Where there is memory already, or what no processor can address, the BAR is not seen. A guest that writes the
     * halves of a wide address while the device decodes may mean such a place for a moment.
     */
    private void place(long address) {
        try {
            slots.place(address);
        } catch (KernelException refused) {
            if (refused.errno() != Errno.EEXIST && refused.errno() != Errno.EINVAL) {
                throw refused;
            }
            slots.remove();
        }
    }

    /** All ones are a question for the size and no address, and so is zero. */
    private long programmed() {
        long value = Integer.toUnsignedLong(config.read(register, Integer.BYTES)) & ~TYPE;
        long highest = Integer.toUnsignedLong((int) -region.size());
        if (width == Long.BYTES) {
            value |= (long) config.read(register + Integer.BYTES, Integer.BYTES) << Integer.SIZE;
            highest = -region.size();
        }
        return value == 0 || value == highest ? NOWHERE : value;
    }

    boolean contains(long address) {
        return slots.contains(address);
    }

    long position(long address) {
        return address - slots.address().orElseThrow();
    }

    long read(long position, int length) {
        return switch (length) {
            case Byte.BYTES -> region.readByte(position);
            case Short.BYTES -> region.readShort(position);
            case Integer.BYTES -> region.readInt(position);
            default -> region.readLong(position);
        };
    }

    void write(long position, int length, long value) {
        switch (length) {
            case Byte.BYTES -> region.writeByte(position, (byte) value);
            case Short.BYTES -> region.writeShort(position, (short) value);
            case Integer.BYTES -> region.writeInt(position, (int) value);
            default -> region.writeLong(position, value);
        }
    }
}
