package dev.kvmvfio.vfio;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * What a PCI device's configuration space said when it was read, as VFIO shows it: the header and the capabilities. As
 * text it is a few lines for people.
 *
 * @param vendorId who made the device, 0 to 0xffff; 0xffff when the device does not answer
 * @param deviceId the vendor's number for it, 0 to 0xffff
 * @param command the command register
 * @param status the status register
 * @param revision 0 to 0xff
 * @param classCode base class, subclass and interface, 0 to 0xffffff
 * @param headerType 0 for a device, 1 for a bridge; bit 7 is set when the device has several functions
 * @param bars the base address registers that are in use, in their order
 * @param capabilities in the order of their lists, the extended ones last
 */
public record ConfigSpace(int vendorId, int deviceId, int command, int status, int revision, int classCode,
        int headerType, List<Bar> bars, List<PciCapability> capabilities) {
    private static final int COMMAND = 0x04;
    private static final int STATUS = 0x06;
    private static final int REVISION = 0x08;
    private static final int HEADER_TYPE = 0x0e;
    private static final int BARS = 0x10;
    private static final int BARS_OF_A_DEVICE = 6;
    private static final int BARS_OF_A_BRIDGE = 2;
    private static final int FIRST_CAPABILITY = 0x34;
    private static final int FIRST_EXTENDED = 0x100;
    private static final int HAS_CAPABILITIES = 1 << 4;

    private static final Map<Integer, String> COMMANDS = bits(0, "I/O", 1, "memory", 2, "bus master", 6,
            "parity errors", 8, "SERR", 10, "INTx off");
    private static final Map<Integer, String> STATES = bits(3, "INTx pending", 4, "capabilities", 8,
            "data parity error", 11, "target abort signalled", 12, "target abort received", 13, "master abort", 14,
            "system error", 15, "parity error");

    /**
     * A base address register.
     *
     * @param index 0 to 5; of a 64-bit one, which takes two, the first
     * @param type what is behind it
     * @param address where it is on the bus
     * @param isPrefetchable whether reading has no side effects
     */
    public record Bar(int index, Type type, long address, boolean isPrefetchable) {
        /** What is behind a base address register, and how wide it is. */
        public enum Type {
            /** I/O ports. */
            IO,
            /** Memory below 4 GiB. */
            MEMORY_32,
            /** Memory anywhere. */
            MEMORY_64
        }

        static List<Bar> read(Region config, int count) {
            List<Integer> registers = IntStream.range(0, count).mapToObj(i -> config.readInt(BARS + 4 * i)).toList();
            List<Bar> bars = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                int value = registers.get(i);
                if ((value & 1) != 0) {
                    bars.add(new Bar(i, Type.IO, Integer.toUnsignedLong(value & ~3), false));
                } else if ((value & 6) == 4 && i + 1 < count) {
                    long high = Integer.toUnsignedLong(registers.get(i + 1)) << Integer.SIZE;
                    bars.add(new Bar(i++, Type.MEMORY_64, high | Integer.toUnsignedLong(value & ~0xf),
                            (value & 8) != 0));
                } else if (value != 0) {
                    bars.add(new Bar(i, Type.MEMORY_32, Integer.toUnsignedLong(value & ~0xf), (value & 8) != 0));
                }
            }
            return List.copyOf(bars);
        }

        @Override
        public String toString() {
            return type == Type.IO
                    ? String.format("BAR %d: I/O ports at 0x%x", index, address)
                    : String.format("BAR %d: memory at 0x%x, %d bits%s", index, address,
                            type == Type.MEMORY_64 ? 64 : 32, isPrefetchable ? ", prefetchable" : "");
        }
    }

    /**
     * A capability of a device.
     *
     * @param id the number that PCI has for it
     * @param isExtended whether it is one of the extended ones, which have numbers of their own
     * @param offset where it begins, in bytes
     */
    public record PciCapability(int id, boolean isExtended, int offset) {
        private static final Map<Integer, String> NAMES = Map.ofEntries(Map.entry(0x01, "power management"),
                Map.entry(0x02, "AGP"), Map.entry(0x03, "vital product data"), Map.entry(0x04, "slot"),
                Map.entry(0x05, "MSI"), Map.entry(0x06, "CompactPCI hot swap"), Map.entry(0x07, "PCI-X"),
                Map.entry(0x08, "HyperTransport"), Map.entry(0x09, "vendor-specific"), Map.entry(0x0a, "debug port"),
                Map.entry(0x0c, "hot plug"), Map.entry(0x0d, "bridge subsystem"), Map.entry(0x10, "PCI Express"),
                Map.entry(0x11, "MSI-X"), Map.entry(0x12, "SATA"), Map.entry(0x13, "advanced features"),
                Map.entry(0x14, "enhanced allocation"));
        private static final Map<Integer, String> EXTENDED_NAMES = Map.ofEntries(
                Map.entry(0x01, "advanced error reporting"), Map.entry(0x02, "virtual channel"),
                Map.entry(0x03, "serial number"), Map.entry(0x04, "power budget"),
                Map.entry(0x0b, "vendor-specific"), Map.entry(0x0d, "access control (ACS)"), Map.entry(0x0e, "ARI"),
                Map.entry(0x0f, "address translation (ATS)"), Map.entry(0x10, "SR-IOV"), Map.entry(0x12, "multicast"),
                Map.entry(0x13, "page requests (PRI)"), Map.entry(0x15, "resizable BAR"),
                Map.entry(0x16, "dynamic power allocation"), Map.entry(0x17, "TPH"),
                Map.entry(0x18, "latency tolerance"),
                Map.entry(0x19, "secondary PCI Express"), Map.entry(0x1b, "PASID"),
                Map.entry(0x1d, "downstream port containment"), Map.entry(0x1e, "L1 substates"),
                Map.entry(0x1f, "precision time"), Map.entry(0x23, "designated vendor-specific"),
                Map.entry(0x25, "data link feature"), Map.entry(0x26, "16 GT/s"), Map.entry(0x27, "lane margining"),
                Map.entry(0x2a, "32 GT/s"), Map.entry(0x2e, "data object exchange"));

        /**
         * What people call it.
         *
         * @return such as {@code MSI-X}; its number when it has no name here
         */
        public String name() {
            return Optional.ofNullable((isExtended ? EXTENDED_NAMES : NAMES).get(id))
                    .orElse(String.format("capability 0x%02x", id));
        }

        @Override
        public String toString() {
            return String.format("0x%03x %s", offset, name());
        }
    }

    private static Map<Integer, String> bits(Object... numbersAndNames) {
        Map<Integer, String> names = new LinkedHashMap<>();
        for (int i = 0; i < numbersAndNames.length; i += 2) {
            names.put((Integer) numbersAndNames[i], (String) numbersAndNames[i + 1]);
        }
        return names;
    }

    static ConfigSpace read(Region config) {
        int ids = config.readInt(0);
        int status = Short.toUnsignedInt(config.readShort(STATUS));
        int classAndRevision = config.readInt(REVISION);
        int headerType = Byte.toUnsignedInt(config.readByte(HEADER_TYPE));
        List<Bar> bars = Bar.read(config, (headerType & 0x7f) == 1 ? BARS_OF_A_BRIDGE : BARS_OF_A_DEVICE);
        List<PciCapability> capabilities = new ArrayList<>();
        if ((status & HAS_CAPABILITIES) != 0) {
            addCapabilities(config, capabilities);
        }
        if (config.size() > FIRST_EXTENDED) {
            addExtended(config, capabilities);
        }
        return new ConfigSpace(ids & 0xffff, ids >>> 16, Short.toUnsignedInt(config.readShort(COMMAND)), status,
                classAndRevision & 0xff, classAndRevision >>> 8, headerType, bars, List.copyOf(capabilities));
    }

    /** A device that does not answer reads as ones, and a broken list may lead back: each place counts once. */
    private static void addCapabilities(Region config, List<PciCapability> capabilities) {
        int offset = Byte.toUnsignedInt(config.readByte(FIRST_CAPABILITY)) & ~3;
        while (offset > FIRST_CAPABILITY && isNew(capabilities, offset)) {
            int header = Short.toUnsignedInt(config.readShort(offset));
            capabilities.add(new PciCapability(header & 0xff, false, offset));
            offset = header >>> 8 & ~3;
        }
    }

    private static void addExtended(Region config, List<PciCapability> capabilities) {
        int offset = FIRST_EXTENDED;
        while (offset >= FIRST_EXTENDED && offset + 4 <= config.size() && isNew(capabilities, offset)) {
            int header = config.readInt(offset);
            if (header == 0 || header == -1) {
                return;
            }
            capabilities.add(new PciCapability(header & 0xffff, true, offset));
            offset = header >>> 20 & ~3;
        }
    }

    private static boolean isNew(List<PciCapability> capabilities, int offset) {
        return capabilities.stream().noneMatch(known -> known.offset() == offset);
    }

    private static String words(Map<Integer, String> names, int register) {
        String set = names.entrySet().stream().filter(bit -> (register & 1 << bit.getKey()) != 0)
                .map(Map.Entry::getValue).collect(Collectors.joining(", "));
        return String.format("0x%04x", register) + (set.isEmpty() ? "" : " (" + set + ")");
    }

    @Override
    public String toString() {
        List<String> lines = new ArrayList<>();
        lines.add(String.format("device %04x:%04x, class %06x, revision %02x, header type 0x%02x", vendorId, deviceId,
                classCode, revision, headerType));
        lines.add("command " + words(COMMANDS, command));
        lines.add("status " + words(STATES, status));
        bars.forEach(bar -> lines.add(bar.toString()));
        capabilities.forEach(capability -> lines.add("at " + capability));
        return String.join("\n", lines);
    }
}
