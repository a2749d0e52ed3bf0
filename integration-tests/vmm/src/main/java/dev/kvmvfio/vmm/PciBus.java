package dev.kvmvfio.vmm;

import java.util.Map;
import java.util.TreeMap;

/**
 * The guest's only PCI bus, with configuration mechanism 1: the address at port 0xcf8, the data at 0xcfc. Devices can
 * come and go while the guest runs.
 */
final class PciBus implements PortDevice {
    static final int PORT = 0xcf8;
    static final int PORTS = 8;
    private static final int DATA = 4;
    private static final int ENABLE = 1 << 31;
    private static final int OTHER_BUS_OR_FUNCTION = 0xff0700;
    private static final int SLOTS = 32;

    private final Map<Integer, AssignedDevice> devices = new TreeMap<>();
    private int address;

    /** Puts a device into a slot: function 0 of device {@code slot} on bus 0. */
    synchronized void plug(int slot, AssignedDevice device) {
        if (slot < 0 || slot >= SLOTS || devices.putIfAbsent(slot, device) != null) {
            throw new IllegalArgumentException("PCI slot " + slot + " is not free");
        }
    }

    /** Takes a device out of its slot; from now on the guest finds nothing there. */
    synchronized void unplug(AssignedDevice device) {
        devices.values().remove(device);
    }

    @Override
    public synchronized int read(int offset, int size) {
        if (isAddress(offset, size)) {
            return address;
        }
        AssignedDevice device = addressed(offset, size);
        return device == null ? IoPorts.NOTHING : device.config().read(register(offset), size);
    }

    @Override
    public synchronized void write(int offset, int size, int value) {
        if (isAddress(offset, size)) {
            address = value;
            return;
        }
        AssignedDevice device = addressed(offset, size);
        if (device != null) {
            device.writeConfig(register(offset), size, value);
        }
    }

    private static boolean isAddress(int offset, int size) {
        return offset == 0 && size == Integer.BYTES;
    }

    /** Whose data an access of the data port is, or null: also when it reaches beyond the port. */
    private AssignedDevice addressed(int offset, int size) {
        boolean data = offset >= DATA && offset + size <= PORTS;
        boolean here = (address & (ENABLE | OTHER_BUS_OR_FUNCTION)) == ENABLE;
        return data && here ? devices.get(address >> 11 & SLOTS - 1) : null;
    }

    private int register(int offset) {
        return address & 0xfc | offset - DATA;
    }

    /** A read of a guest-physical address that no memory slot covers. */
    synchronized long readMemory(long guestAddress, int length) {
        AssignedDevice device = at(guestAddress);
        return device == null ? IoPorts.NOTHING : device.readMemory(guestAddress, length);
    }

    synchronized void writeMemory(long guestAddress, int length, long value) {
        AssignedDevice device = at(guestAddress);
        if (device != null) {
            device.writeMemory(guestAddress, length, value);
        }
    }

    private AssignedDevice at(long guestAddress) {
        return devices.values().stream().filter(device -> device.contains(guestAddress)).findFirst().orElse(null);
    }
}
