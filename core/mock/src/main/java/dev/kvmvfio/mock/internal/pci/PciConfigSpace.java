package dev.kvmvfio.mock.internal.pci;

import java.util.List;

/**
 * A device's configuration space as {@code vfio-pci} shows it: a standard header, a list of capabilities, and which
 * bits a program may change. Writes to BARs never reach the device, so the usual way to find a BAR's size works.
 */
public final class PciConfigSpace {
    private static final int CONVENTIONAL_SIZE = 256;
    private static final int EXPRESS_SIZE = 4096;

    static final int COMMAND = 0x04;
    static final int IO = 0x1;
    public static final int MEMORY = 0x2;
    static final int BUS_MASTER = 0x4;
    public static final int INTX_DISABLE = 0x400;

    private static final int STATUS = 0x06;
    private static final int STATUS_CAPABILITIES = 0x10;
    private static final int BARS = 0x10;
    private static final int CAPABILITIES = 0x34;
    private static final int INTERRUPT_LINE = 0x3c;
    private static final int INTERRUPT_PIN = 0x3d;
    private static final int PM = 0x40;
    private static final int MSI = 0x50;
    private static final int MSIX = 0x70;
    private static final int EXPRESS = 0x80;

    private final List<Bar.Spec> bars;
    private final byte[] initial;
    private final byte[] writable;
    private final byte[] content;
    private int lastCapability = CAPABILITIES;

    PciConfigSpace(PciDescription device) {
        bars = device.bars();
        int size = device.express() ? EXPRESS_SIZE : CONVENTIONAL_SIZE;
        initial = new byte[size];
        writable = new byte[size];
        content = new byte[size];
        putIdentity(device.identity());
        put(INTERRUPT_PIN, 1, device.interrupts().intx() ? 1 : 0);
        allow(COMMAND, 2, 0xffff);
        allow(0x0c, 2, 0xffff);
        allow(INTERRUPT_LINE, 1, 0xff);
        bars.forEach(this::addBar);
        addPowerManagement();
        if (device.interrupts().msiVectors() > 0) {
            addMsi(device.interrupts().msiVectors());
        }
        if (device.interrupts().msix() != null) {
            addMsix(device.interrupts().msix());
        }
        if (device.express()) {
            addExpress(device.reset());
        }
        open();
    }

    private void putIdentity(PciDescription.Identity identity) {
        put(0x00, 2, identity.vendor());
        put(0x02, 2, identity.device());
        put(0x08, 1, identity.revision());
        put(0x09, 3, identity.classCode());
        put(0x2c, 2, identity.subsystemVendor());
        put(0x2e, 2, identity.subsystem());
    }

    private void put(int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            initial[offset + i] = (byte) (value >>> 8 * i);
        }
    }

    private void allow(int offset, int size, long bits) {
        for (int i = 0; i < size; i++) {
            writable[offset + i] = (byte) (bits >>> 8 * i);
        }
    }

    private void addBar(Bar.Spec bar) {
        int size = bar.wide() ? 8 : 4;
        put(BARS + 4 * bar.index(), size, bar.io() ? 1 : bar.wide() ? 0xc : 0);
        allow(BARS + 4 * bar.index(), size, -bar.size());
    }

    private void addCapability(int id, int offset) {
        put(lastCapability, 1, offset);
        put(STATUS, 2, STATUS_CAPABILITIES);
        put(offset, 1, id);
        lastCapability = offset + 1;
    }

    private void addPowerManagement() {
        addCapability(0x01, PM);
        put(PM + 2, 2, 0x0003);
        put(PM + 4, 2, 0x0008);
        allow(PM + 4, 2, 0x0003);
    }

    private void addMsi(int vectors) {
        addCapability(0x05, MSI);
        put(MSI + 2, 2, 0x0080 | Integer.numberOfTrailingZeros(vectors) << 1);
        allow(MSI + 2, 2, 0x0071);
        allow(MSI + 4, 4, 0xffff_fffcL);
        allow(MSI + 8, 4, 0xffff_ffffL);
        allow(MSI + 12, 2, 0xffff);
    }

    private void addMsix(PciDescription.Msix msix) {
        addCapability(0x11, MSIX);
        put(MSIX + 2, 2, msix.vectors() - 1);
        put(MSIX + 4, 4, msix.offset() | msix.bar());
        put(MSIX + 8, 4, msix.pendingOffset() | msix.bar());
        allow(MSIX + 2, 2, 0xc000);
    }

    private void addExpress(boolean functionReset) {
        addCapability(0x10, EXPRESS);
        put(EXPRESS + 2, 2, 0x0002);
        put(EXPRESS + 4, 4, functionReset ? 1 << 28 : 0);
        allow(EXPRESS + 8, 2, 0x7fff);
    }

    /** What the driver does when a device is opened: BARs on, bus mastering off, everything else as after power-on. */
    void open() {
        System.arraycopy(initial, 0, content, 0, initial.length);
        boolean io = bars.stream().anyMatch(Bar.Spec::io);
        boolean memory = bars.stream().anyMatch(bar -> !bar.io());
        content[COMMAND] = (byte) ((io ? IO : 0) | (memory ? MEMORY : 0));
    }

    public int size() {
        return content.length;
    }

    public int command() {
        return Byte.toUnsignedInt(content[COMMAND]) | Byte.toUnsignedInt(content[COMMAND + 1]) << 8;
    }

    void setCommand(int bits, boolean on) {
        int command = on ? command() | bits : command() & ~bits;
        content[COMMAND] = (byte) command;
        content[COMMAND + 1] = (byte) (command >>> 8);
    }

    public byte read(int offset) {
        return content[offset];
    }

    public void write(int offset, byte value) {
        content[offset] = (byte) (content[offset] & ~writable[offset] | value & writable[offset]);
    }

    byte[] snapshot() {
        return content.clone();
    }
}
