package dev.kvmvfio.vmm;

import java.util.Map;
import java.util.TreeMap;

/**
 * The guest's only PCI bus, with configuration mechanism 1: the address at port 0xcf8, the data at 0xcfc. Devices can
 * come and go while the guest runs.
 */
public final class PciBus implements PortDevice {
    /** The first of its ports. */
    public static final int PORT = 0xcf8;
    /** How many they are. */
    public static final int PORTS = 8;
    private static final int DATA = 4;
    private static final int ENABLE = 1 << 31;
    private static final int OTHER_BUS_OR_FUNCTION = 0xff0700;
    private static final int SLOTS = 32;

    private final Map<Integer, PciFunction> functions = new TreeMap<>();
    private int address;

    PciBus() {
    }

    /**
     * Puts a device into a slot: function 0 of device {@code slot} on bus 0.
     *
     * @param slot from 0 to 31
     * @param function what is there from now on
     * @throws IllegalArgumentException when something else is there
     */
    public synchronized void plug(int slot, PciFunction function) {
        if (slot < 0 || slot >= SLOTS || functions.putIfAbsent(slot, function) != null) {
            throw new IllegalArgumentException("PCI slot " + slot + " is not free");
        }
    }

    /**
     * Takes a device out of its slot; from now on the guest finds nothing there.
     *
     * @param function what was plugged in
     */
    public synchronized void unplug(PciFunction function) {
        functions.values().remove(function);
    }

    @Override
    public synchronized int read(int offset, int size) {
        if (isAddress(offset, size)) {
            return address;
        }
        PciFunction function = addressed(offset, size);
        return function == null ? IoPorts.NOTHING : function.readConfig(register(offset), size);
    }

    @Override
    public synchronized void write(int offset, int size, int value) {
        if (isAddress(offset, size)) {
            address = value;
            return;
        }
        PciFunction function = addressed(offset, size);
        if (function != null) {
            function.writeConfig(register(offset), size, value);
        }
    }

    private static boolean isAddress(int offset, int size) {
        return offset == 0 && size == Integer.BYTES;
    }

    /** Whose data an access of the data port is, or null: also when it reaches beyond the port. */
    private PciFunction addressed(int offset, int size) {
        boolean data = offset >= DATA && offset + size <= PORTS;
        boolean here = (address & (ENABLE | OTHER_BUS_OR_FUNCTION)) == ENABLE;
        return data && here ? functions.get(address >> 11 & SLOTS - 1) : null;
    }

    private int register(int offset) {
        return address & 0xfc | offset - DATA;
    }

    /** A read of a guest-physical address that no memory slot covers. */
    synchronized long readMemory(long guestAddress, int length) {
        PciFunction function = at(guestAddress);
        return function == null ? IoPorts.NOTHING : function.readMemory(guestAddress, length);
    }

    synchronized void writeMemory(long guestAddress, int length, long value) {
        PciFunction function = at(guestAddress);
        if (function != null) {
            function.writeMemory(guestAddress, length, value);
        }
    }

    private PciFunction at(long guestAddress) {
        return functions.values().stream().filter(function -> function.contains(guestAddress)).findFirst().orElse(null);
    }
}
