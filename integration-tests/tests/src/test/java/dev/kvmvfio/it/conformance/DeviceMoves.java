package dev.kvmvfio.it.conformance;

import dev.kvmvfio.it.conformance.Draft.Kind;
import java.util.HashSet;
import java.util.Set;

/** What a program does with a device of VFIO, whichever way it was opened, and nearly does. */
final class DeviceMoves {
    private static final String CONFIG = "0x70000000000+";

    private final Draft draft;
    private final Set<String> triggered = new HashSet<>();
    private final Set<String> unmasking = new HashSet<>();

    DeviceMoves(Draft draft) {
        this.draft = draft;
    }

    /** A device was opened. Ends what an earlier program left in the registers, which outlive it. */
    void opened(String device, String address) {
        if (!address.equals(MockLab.SIBLING)) {
            draft.also(Kind.EDU, device);
            draft.step("pwrite", device, "ffffffff", "0x64");
            draft.step("pwrite", device, "00000000", "4");
        }
    }

    void move() {
        switch (draft.below(17)) {
            case 0 -> info();
            case 1 -> regionInfo();
            case 2 -> irqInfo();
            case 3, 4, 5, 6, 7 -> setIrqs();
            case 8, 9 -> raise();
            case 10 -> config();
            case 11 -> registers();
            case 12 -> reset();
            case 13 -> feature();
            case 14 -> map();
            case 15 -> transfer();
            default -> draft.step("interrupts", draft.only(Kind.EVENTFD));
        }
    }

    /** From memory into the device and back to another place, by addresses that may be mapped. */
    private void transfer() {
        String device = draft.any(Kind.EDU);
        String memory = draft.only(Kind.MEMORY);
        draft.step("fill", memory, "0", "0x1000", draft.of("0x21", "0x42", "0x63"));
        draft.step("pwrite", device, draft.mostly("0600", "0200"), CONFIG + "4");
        transfer(device, draft.of("0000", "0010", "0040"), "00000400", "01");
        transfer(device, "00000400", draft.of("0000", "0020", "0080", "0030"), "03");
        draft.step("peek", memory, draft.of("0", "0x1000", "0x2000", "0x4000", "0x5000"), "20");
    }

    private void transfer(String device, String from, String to, String command) {
        draft.step("pwrite", device, from + "00000000".substring(from.length()) + "00000000", "0x80");
        draft.step("pwrite", device, to + "00000000".substring(to.length()) + "00000000", "0x88");
        draft.step("pwrite", device, "1000000000000000", "0x90");
        draft.step("pwrite", device, command + "00000000000000", "0x98");
        draft.step("wait", device, "0x98", "1");
    }

    private void info() {
        String device = draft.any(Kind.DEVICE);
        if (draft.chance(3)) {
            draft.ioctl(device, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
                    "argsz=" + draft.mostly(draft.of("64", "12", "24", "36"), "11", "0"));
        } else {
            draft.ioctl(device, "VFIO_DEVICE_GET_INFO", "argsz=" + draft.mostly("24", "16", "15", "0", "64"));
        }
    }

    /** The edu device's BAR can be mapped, but the mock's cannot: its region 0 is left out. */
    private void regionInfo() {
        draft.ioctl(draft.any(Kind.DEVICE), "VFIO_DEVICE_GET_REGION_INFO",
                "argsz=" + draft.mostly("32", "31", "0", "128"),
                "index=" + draft.mostly(draft.of("1", "2", "5", "6", "7"), "8", "9", "100", "0xffffffff"));
    }

    private void irqInfo() {
        draft.ioctl(draft.any(Kind.DEVICE), "VFIO_DEVICE_GET_IRQ_INFO", "argsz=" + draft.mostly("16", "15", "0", "32"),
                "index=" + draft.mostly(draft.of("0", "1", "2", "3", "4"), "5", "0xffffffff"));
    }

    private void setIrqs() {
        String data = draft.of("1", "2", "4", "4", "4");
        String action = draft.mostly(draft.of("0x20", "0x20", "0x20", "0x8", "0x10"), "0x30", "0");
        String count = draft.mostly(draft.of("1", "1", "1", "0"), "2", "0xffffffff");
        String content = data.equals("4")
                ? draft.mostly(draft.any(Kind.EVENTFD), "-1", "-1", "nothing", "-2")
                : draft
                        .of("1", "0");
        String device = draft.any(Kind.DEVICE);
        String argsz = draft.mostly("24", "20", "19", "21", "0");
        String flags = draft.mostly(String.format("0x%x", Integer.decode(data) | Integer.decode(action)), "0x3f",
                "0x40",
                "0x26", "0x20");
        draft.ioctl(device, "VFIO_DEVICE_SET_IRQS", "argsz=" + argsz, "flags=" + flags,
                "index=" + draft.mostly(draft.of("0", "0", "1", "1", "2", "3", "4"), "5"),
                "start=" + draft.mostly("0", "1", "0xffffffff"), "count=" + count,
                "tail=" + withoutLoop(flags, content));
    }

    /** An interrupt that unmasks itself comes again and again: how often is for nobody to tell. */
    private String withoutLoop(String flags, String eventFd) {
        return switch (flags) {
            case "0x14" -> apart(eventFd, unmasking, triggered);
            case "0x24" -> apart(eventFd, triggered, unmasking);
            default -> eventFd;
        };
    }

    private static String apart(String eventFd, Set<String> same, Set<String> other) {
        if (other.contains(eventFd)) {
            return "-1";
        }
        if (eventFd.startsWith("e")) {
            same.add(eventFd);
        }
        return eventFd;
    }

    private void raise() {
        String device = draft.any(Kind.EDU);
        String eventFd = draft.only(Kind.EVENTFD);
        // What was there before would hide an interrupt that is on its way.
        draft.step("read", eventFd, "8");
        draft.step("pwrite", device, "01000000", "0x60");
        draft.step("interrupts", eventFd);
        if (draft.chance(2)) {
            draft.step("pread", device, "4", "0x24");
        }
        draft.step("pwrite", device, "ffffffff", "0x64");
    }

    private void config() {
        String device = draft.any(Kind.DEVICE);
        switch (draft.below(4)) {
            case 0, 1 -> {
                draft.step("pwrite", device, draft.of("0000", "0200", "0400", "0600", "0604", "0204"), CONFIG + "4");
                draft.step("pread", device, "2", CONFIG + "4");
            }
            case 2 -> draft.step("pread", device, draft.of("1", "2", "4"), CONFIG + draft.of("0", "8", "0x2c"));
            default -> draft.step("pread", device, draft.of("4", "8"), CONFIG + draft.of("0x1000", "0xffc", "0x10000"));
        }
    }

    private void registers() {
        String device = draft.any(Kind.EDU);
        switch (draft.below(5)) {
            case 0 -> draft.step("pread", device, draft.mostly("4", "0"), "0");
            case 1 -> {
                draft.step("pwrite", device, "78563412", "4");
                draft.step("pread", device, "4", "4");
            }
            case 2 -> draft.step("pread", device, "4", draft.of("0xffffc", "0xffffe", "0x100000", "0x10000000000",
                    "0x60000000000", "0x80000000000", "0x90000000000"));
            case 3 -> draft.step("pwrite", device, "00000000", draft.of("0x100000", "0x60000000000", "0x90000000000"));
            default -> draft.step("read", device, "4");
        }
    }

    private void reset() {
        String device = draft.any(Kind.DEVICE);
        switch (draft.below(4)) {
            case 0 -> draft.ioctl(device, draft.of("VFIO_UNKNOWN", "KVM_UNKNOWN"), "0");
            case 1 -> draft.ioctl(device, "VFIO_DEVICE_PCI_HOT_RESET", "argsz=" + draft.mostly("16", "12", "11", "0"),
                    "flags=" + draft.mostly("0", "1"), "count=" + draft.mostly(draft.of("0", "1"), "2", "0xffffffff"),
                    "tail=" + draft.mostly(draft.only(Kind.GROUP), draft.anyFile(), "-1"));
            default -> draft.ioctl(device, "VFIO_DEVICE_RESET");
        }
    }

    private void feature() {
        draft.ioctl(draft.any(Kind.DEVICE), "VFIO_DEVICE_FEATURE", "argsz=" + draft.mostly("24", "8", "7"), "flags="
                + draft.of("0x10000", "0x20000", "0x40000", "0x50000", "0x60000", "0x70000", "0x30000", "0x0",
                        "0x80000")
                + "+" + draft.of("0", "1", "2", "9", "10", "20"), "tail=1");
    }

    private void map() {
        draft.make(Kind.BAR, "mmap " + draft.mostly("0x1000", "0x101000") + " " + draft.any(Kind.DEVICE) + " "
                + draft.of("0x10000000000", "0x60000000000", "0x70000000000", "0x80000000000", "0x90000000000"));
    }
}
