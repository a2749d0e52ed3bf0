package dev.kvmvfio.vfio;

import dev.kvmvfio.kernel.AnswerException;
import java.util.Optional;

/**
 * Where a PCI device has its MSI-X table, by the capability in its configuration space. The kernel fills the real
 * table; a guest must get an imitation, or it would write its own addresses into the device.
 *
 * @param region the index of the BAR's region
 * @param offset of the table in the BAR, in bytes
 * @param vectors how many entries of 16 bytes it has, 1 to 2048
 */
public record MsixTable(int region, long offset, int vectors) {
    private static final int STATUS = 0x06;
    private static final int HAS_CAPABILITIES = 0x10;
    private static final int FIRST_CAPABILITY = 0x34;
    private static final int MSIX = 0x11;
    private static final int CONTROL = 2;
    private static final int LOCATION = 4;
    /** As many as there is room for, so that a broken list ends. */
    private static final int MOST_CAPABILITIES = 48;
    private static final int ENTRY = 16;
    /** Where a capability of twelve bytes still has room. */
    private static final int LAST_PLACE = 0xf4;

    /** Reads the device's capabilities; empty when it has no MSI-X. */
    static Optional<MsixTable> read(Region config) {
        if ((config.readShort(STATUS) & HAS_CAPABILITIES) == 0) {
            return Optional.empty();
        }
        int at = pointer(config, FIRST_CAPABILITY);
        for (int i = 0; i < MOST_CAPABILITIES && at != 0; i++) {
            if (Byte.toUnsignedInt(config.readByte(at)) == MSIX) {
                return Optional.of(at(config, at));
            }
            at = pointer(config, at + 1);
        }
        return Optional.empty();
    }

    private static int pointer(Region config, int position) {
        return config.readByte(position) & 0xfc;
    }

    private static MsixTable at(Region config, int at) {
        if (at > LAST_PLACE) {
            throw new AnswerException("pread", config, String.format("an MSI-X capability at 0x%x, without room", at));
        }
        int location = config.readInt(at + LOCATION);
        return new MsixTable(Region.BAR0 + (location & 7), Integer.toUnsignedLong(location & ~7),
                (config.readShort(at + CONTROL) & 0x7ff) + 1);
    }

    /**
     * The size of the table.
     *
     * @return bytes
     */
    public long size() {
        return (long) vectors * ENTRY;
    }
}
