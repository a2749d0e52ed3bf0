package dev.kvmvfio.vmm;

import dev.kvmvfio.vfio.MsixTable;
import dev.kvmvfio.vfio.Region;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The MSI-X table that the guest writes. It is never the device's own: that one holds what the host's kernel chose, and
 * the guest's messages are sent by KVM.
 */
final class GuestMsixTable {
    private static final int ENTRY = 16;
    private static final int ADDRESS = 0;
    private static final int DATA = 8;
    private static final int CONTROL = 12;
    private static final int MASKED = 1;

    private final MsixTable place;
    private final ByteBuffer entries;

    /** A table as it is after a reset. */
    GuestMsixTable(MsixTable place) {
        this.place = place;
        this.entries = ByteBuffer.allocate(place.vectors() * ENTRY).order(ByteOrder.LITTLE_ENDIAN);
        for (int vector = 0; vector < place.vectors(); vector++) {
            entries.putInt(vector * ENTRY + CONTROL, MASKED);
        }
    }

    int vectors() {
        return place.vectors();
    }

    boolean contains(Region region, long position) {
        return region.index() == place.region() && position >= place.offset()
                && position < place.offset() + place.size();
    }

    /** The guest reads, at an offset into the BAR: four bytes or eight, or else what the device likes. */
    long read(long position, int length) {
        int at = at(position);
        return isLong(at, length) ? entries.getLong(at) : Integer.toUnsignedLong(entries.getInt(at));
    }

    /** Tells which vector the guest has changed. */
    int write(long position, int length, long value) {
        int at = at(position);
        if (isLong(at, length)) {
            entries.putLong(at, value);
        } else {
            entries.putInt(at, (int) value);
        }
        return at / ENTRY;
    }

    private int at(long position) {
        return (int) (position - place.offset()) & -Integer.BYTES;
    }

    private static boolean isLong(int at, int length) {
        return length == Long.BYTES && at % Long.BYTES == 0;
    }

    long address(int vector) {
        return entries.getLong(vector * ENTRY + ADDRESS);
    }

    int data(int vector) {
        return entries.getInt(vector * ENTRY + DATA);
    }

    boolean isMasked(int vector) {
        return (entries.getInt(vector * ENTRY + CONTROL) & MASKED) != 0;
    }
}
