package dev.kvmvfio.vmm;

import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.Region;
import java.util.ArrayList;
import java.util.List;

/** A device of the host that the guest has: its configuration space, its BARs, its interrupts. */
public final class AssignedDevice implements PciFunction {
    private final AttachedDevice attached;
    private final ConfigSpace config;
    private final List<Bar> bars = new ArrayList<>();
    private final Interrupts interrupts;

    /**
     * Shows an attached device to the guest, as it is after a reset.
     *
     * @param gsi where its INTx goes, which the guest finds in the interrupt line register
     */
    AssignedDevice(AttachedDevice attached, int gsi) {
        this.attached = attached;
        GuestDevice device = attached.device();
        if (device.canReset()) {
            device.reset();
        }
        config = new ConfigSpace(device.region(Region.CONFIG));
        // VFIO hands a device out with its BARs switched on.
        config.write(ConfigSpace.COMMAND, Short.BYTES, 0);
        interrupts = new Interrupts(device, config, gsi);
        addBars(device);
        config.emulate(ConfigSpace.ROM, Integer.BYTES, 0, 0);
        follow();
    }

    private void addBars(GuestDevice device) {
        List<Region> memory = device.regions().stream().filter(region -> Bar.isMemory(config, region)).toList();
        config.emulate(ConfigSpace.BARS, 6 * Integer.BYTES, 0, 0);
        memory.forEach(region -> bars.add(new Bar(device, config, region)));
    }

    @Override
    public int readConfig(int offset, int size) {
        return config.read(offset, size);
    }

    @Override
    public void writeConfig(int offset, int size, int value) {
        config.write(offset, size, value);
        follow();
    }

    private void follow() {
        boolean decoding = (config.read(ConfigSpace.COMMAND, Short.BYTES) & ConfigSpace.MEMORY_DECODING) != 0;
        bars.forEach(bar -> bar.follow(decoding));
        interrupts.follow();
    }

    @Override
    public boolean contains(long address) {
        return bars.stream().anyMatch(bar -> bar.contains(address));
    }

    /** What is no memory slot is the MSI-X table's page, and what is smaller than a page. */
    @Override
    public long readMemory(long address, int length) {
        Bar bar = barAt(address);
        long position = bar.position(address);
        return interrupts.isTable(bar.region(), position)
                ? interrupts.readTable(position, length)
                : bar.read(position, length);
    }

    @Override
    public void writeMemory(long address, int length, long value) {
        Bar bar = barAt(address);
        long position = bar.position(address);
        if (interrupts.isTable(bar.region(), position)) {
            interrupts.writeTable(position, length, value);
        } else {
            bar.write(position, length, value);
        }
    }

    private Bar barAt(long address) {
        return bars.stream().filter(bar -> bar.contains(address)).findFirst().orElseThrow();
    }

    /** Takes the device from the guest and gives it back to the host. */
    void release() {
        attached.close();
    }

    @Override
    public String toString() {
        return attached.toString();
    }
}
