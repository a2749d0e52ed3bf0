package dev.kvmvfio.it.vfio;

import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.RegionMapping;
import dev.kvmvfio.vfio.VfioDevice;
import java.time.Duration;

/** QEMU's device for teaching: a few registers, DMA to and from a buffer of 4 KiB, and interrupts. */
final class Edu {
    static final int IDENTITY = 0x010000ed;
    static final long BUFFER_SIZE = 4096;

    private static final long BUFFER = 0x40000;
    private static final int COMMAND = 4;
    private static final short BUS_MASTER = 4;
    private static final int START = 1;
    private static final int FROM_DEVICE = 2;
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private final VfioDevice device;
    private final RegionMapping bar;

    Edu(VfioDevice device) {
        this.device = device;
        this.bar = device.region(Region.BAR0).map();
    }

    RegionMapping bar() {
        return bar;
    }

    int identity() {
        return bar.readInt(0);
    }

    int liveness(int value) {
        bar.writeInt(4, value);
        return bar.readInt(4);
    }

    void raiseInterrupt(int status) {
        bar.writeInt(0x60, status);
    }

    int interruptStatus() {
        return bar.readInt(0x24);
    }

    void acknowledgeInterrupt(int status) {
        bar.writeInt(0x64, status);
    }

    /** vfio-pci switches bus mastering off when a device is opened. */
    void enableBusMaster() {
        Region config = device.region(Region.CONFIG);
        config.writeShort(COMMAND, (short) (config.readShort(COMMAND) | BUS_MASTER));
    }

    /** Copies from memory at an IOVA into the device's buffer. */
    void read(long iova, long length) {
        transfer(iova, BUFFER, length, START);
    }

    /** Copies from the device's buffer into memory at an IOVA. */
    void write(long iova, long length) {
        transfer(BUFFER, iova, length, START | FROM_DEVICE);
    }

    private void transfer(long source, long destination, long length, int command) {
        bar.writeLong(0x80, source);
        bar.writeLong(0x88, destination);
        bar.writeLong(0x90, length);
        bar.writeLong(0x98, command);
        long end = System.nanoTime() + PATIENCE.toNanos();
        while ((bar.readLong(0x98) & START) != 0) {
            if (System.nanoTime() > end) {
                throw new AssertionError("the DMA does not end");
            }
            Thread.onSpinWait();
        }
    }
}
