package dev.kvmvfio.vmm;

import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.IntxLine;
import dev.kvmvfio.vfio.MsiVectors;
import dev.kvmvfio.vfio.MsixTable;
import dev.kvmvfio.vfio.Region;
import java.util.stream.IntStream;

/**
 * A device's interrupts, connected to the guest in the way that the guest has chosen: INTx, MSI when it enables MSI,
 * MSI-X when it enables that. An interrupt then goes from the device to the guest without this program.
 */
final class Interrupts {
    private static final int CONTROL = 2;
    private static final int MSI_ENABLE = 0x0001;
    private static final int MSI_WIDE = 0x0080;
    private static final int MSI_ADDRESS = 4;
    private static final int MSIX_ENABLE = 0x8000;
    private static final int MSIX_MASK_ALL = 0x4000;

    private enum Kind {
        NONE, INTX, MSI, MSIX
    }

    private final GuestDevice device;
    private final ConfigSpace config;
    private final int gsi;
    private final int msi;
    private final boolean msiWide;
    private final int msiX;
    private final GuestMsixTable table;
    private Kind kind = Kind.NONE;
    private IntxLine line;
    private MsiVectors vectors;

    /** Emulates the interrupt line and the control of MSI and MSI-X. */
    Interrupts(GuestDevice device, ConfigSpace config, int gsi) {
        this.device = device;
        this.config = config;
        this.gsi = gsi;
        config.emulate(ConfigSpace.INTERRUPT_LINE, 1, gsi, 0xff);
        msi = config.capability(ConfigSpace.MSI);
        msiWide = msi != 0 && (config.readDevice(msi + CONTROL, Short.BYTES) & MSI_WIDE) != 0;
        if (msi != 0) {
            emulateMsi();
        }
        msiX = config.capability(ConfigSpace.MSIX);
        table = device.msixTable().map(this::emulateMsiX).orElse(null);
    }

    /** One vector without a mask of its own, at what kind of address the device has. */
    private void emulateMsi() {
        config.emulate(msi + CONTROL, Short.BYTES, msiWide ? MSI_WIDE : 0, MSI_ENABLE);
        config.emulate(msi + MSI_ADDRESS, Integer.BYTES, 0, ~3);
        if (msiWide) {
            config.emulate(msi + MSI_ADDRESS + Integer.BYTES, Integer.BYTES, 0, -1);
        }
        config.emulate(msiData(), Short.BYTES, 0, -1);
    }

    private int msiData() {
        return msi + MSI_ADDRESS + (msiWide ? Long.BYTES : Integer.BYTES);
    }

    private GuestMsixTable emulateMsiX(MsixTable place) {
        config.emulate(msiX + CONTROL, Short.BYTES, place.vectors() - 1, MSIX_ENABLE | MSIX_MASK_ALL);
        return new GuestMsixTable(place);
    }

    boolean isTable(Region region, long position) {
        return table != null && table.contains(region, position);
    }

    long readTable(long position, int length) {
        return table.read(position, length);
    }

    void writeTable(long position, int length, long value) {
        int vector = table.write(position, length, value);
        if (kind == Kind.MSIX) {
            followVector(vector);
        }
    }

    /** Follows what the guest wrote to the configuration space. */
    void follow() {
        Kind wanted = wanted();
        if (wanted != kind) {
            disconnect();
            connect(wanted);
        }
        switch (kind) {
            case MSI -> vectors.program(0, msiAddress(), config.read(msiData(), Short.BYTES));
            case MSIX -> IntStream.range(0, vectors.count()).forEach(this::followVector);
            case INTX, NONE -> {
                // There is no message.
            }
        }
    }

    private Kind wanted() {
        if (msiX != 0 && (config.read(msiX + CONTROL, Short.BYTES) & MSIX_ENABLE) != 0) {
            return Kind.MSIX;
        }
        if (msi != 0 && (config.read(msi + CONTROL, Short.BYTES) & MSI_ENABLE) != 0) {
            return Kind.MSI;
        }
        return config.read(ConfigSpace.INTERRUPT_PIN, 1) != 0 ? Kind.INTX : Kind.NONE;
    }

    private void connect(Kind wanted) {
        switch (wanted) {
            case INTX -> line = device.connectIntx(gsi);
            case MSI -> vectors = device.connectMsi(1);
            case MSIX -> vectors = device.connectMsix(table.vectors());
            case NONE -> {
                // The device has no pin.
            }
        }
        kind = wanted;
    }

    private void disconnect() {
        switch (kind) {
            case INTX -> line.close();
            case MSI, MSIX -> vectors.close();
            case NONE -> {
                // Nothing is connected.
            }
        }
        kind = Kind.NONE;
    }

    private long msiAddress() {
        long low = Integer.toUnsignedLong(config.read(msi + MSI_ADDRESS, Integer.BYTES));
        return msiWide
                ? low | (long) config.read(msi + MSI_ADDRESS + Integer.BYTES, Integer.BYTES) << Integer.SIZE
                : low;
    }

    private void followVector(int vector) {
        boolean masked = table.isMasked(vector) || (config.read(msiX + CONTROL, Short.BYTES) & MSIX_MASK_ALL) != 0;
        if (masked) {
            vectors.mask(vector);
        } else {
            vectors.program(vector, table.address(vector), table.data(vector));
            vectors.unmask(vector);
        }
    }
}
