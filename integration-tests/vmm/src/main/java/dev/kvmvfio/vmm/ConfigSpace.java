package dev.kvmvfio.vmm;

import dev.kvmvfio.vfio.Region;
import java.util.BitSet;

/**
 * The first 256 bytes of a device's configuration space as the guest sees them: what VFIO shows, except for the
 * registers that are emulated here.
 */
final class ConfigSpace {
    static final int COMMAND = 0x04;
    static final int MEMORY_DECODING = 0x2;
    static final int BUS_MASTER = 0x4;
    static final int BARS = 0x10;
    static final int ROM = 0x30;
    static final int INTERRUPT_LINE = 0x3c;
    static final int INTERRUPT_PIN = 0x3d;
    static final int MSI = 0x05;
    static final int MSIX = 0x11;

    private static final int SIZE = 256;
    private static final int STATUS = 0x06;
    private static final int HAS_CAPABILITIES = 0x10;
    private static final int CAPABILITIES = 0x34;

    private final Region device;
    private final BitSet emulated = new BitSet(SIZE);
    private final byte[] values = new byte[SIZE];
    private final byte[] writable = new byte[SIZE];

    ConfigSpace(Region device) {
        this.device = device;
    }

    /**
     * From now on a register is kept here, and the device does not see what the guest does to it.
     *
     * @param writableBits the bits that the guest can change
     */
    void emulate(int offset, int size, long value, long writableBits) {
        emulated.set(offset, offset + size);
        for (int i = 0; i < size; i++) {
            values[offset + i] = (byte) (value >> Byte.SIZE * i);
            writable[offset + i] = (byte) (writableBits >> Byte.SIZE * i);
        }
    }

    int read(int offset, int size) {
        int value = emulatedBytes(offset, size) == size ? 0 : readDevice(offset, size);
        for (int i = 0; i < size; i++) {
            if (emulated.get(offset + i)) {
                int shift = Byte.SIZE * i;
                value = value & ~(0xff << shift) | Byte.toUnsignedInt(values[offset + i]) << shift;
            }
        }
        return value;
    }

    private int emulatedBytes(int offset, int size) {
        return emulated.get(offset, offset + size).cardinality();
    }

    /** The device's own value, whether it is emulated or not. */
    int readDevice(int offset, int size) {
        return switch (size) {
            case Byte.BYTES -> Byte.toUnsignedInt(device.readByte(offset));
            case Short.BYTES -> Short.toUnsignedInt(device.readShort(offset));
            default -> device.readInt(offset);
        };
    }

    /** The device gets a register whole, unless a part of it is emulated. */
    void write(int offset, int size, int value) {
        if (emulatedBytes(offset, size) == 0) {
            writeDevice(offset, size, value);
            return;
        }
        for (int i = 0; i < size; i++) {
            byte each = (byte) (value >> Byte.SIZE * i);
            int at = offset + i;
            if (emulated.get(at)) {
                values[at] = (byte) (values[at] & ~writable[at] | each & writable[at]);
            } else {
                device.writeByte(at, each);
            }
        }
    }

    private void writeDevice(int offset, int size, int value) {
        switch (size) {
            case Byte.BYTES -> device.writeByte(offset, (byte) value);
            case Short.BYTES -> device.writeShort(offset, (short) value);
            default -> device.writeInt(offset, value);
        }
    }

    /** Where a capability is, or 0 when the device has none of this kind. */
    int capability(int id) {
        int at = (readDevice(STATUS, Short.BYTES) & HAS_CAPABILITIES) == 0 ? 0 : next(CAPABILITIES);
        while (at != 0 && readDevice(at, Byte.BYTES) != id) {
            at = next(at + 1);
        }
        return at;
    }

    private int next(int pointer) {
        return readDevice(pointer, Byte.BYTES) & ~3;
    }
}
