package dev.kvmvfio.vmm;

import java.time.LocalDateTime;
import java.time.ZoneOffset;

/** The time-of-day clock of a PC, at ports 0x70 and 0x71: it tells the time, and cannot be set. */
final class Clock implements PortDevice {
    static final int PORT = 0x70;
    static final int PORTS = 2;

    private static final int NO_UPDATE_IN_PROGRESS = 0x26;
    private static final int TWENTY_FOUR_HOURS = 0x02;
    private static final int BATTERY_IS_GOOD = 0x80;

    private int index;

    @Override
    public int read(int offset, int size) {
        if (offset == 0) {
            return index;
        }
        LocalDateTime now = LocalDateTime.now(ZoneOffset.UTC);
        return switch (index) {
            case 0x00 -> decimal(now.getSecond());
            case 0x02 -> decimal(now.getMinute());
            case 0x04 -> decimal(now.getHour());
            case 0x06 -> decimal(now.getDayOfWeek().getValue() % 7 + 1);
            case 0x07 -> decimal(now.getDayOfMonth());
            case 0x08 -> decimal(now.getMonthValue());
            case 0x09 -> decimal(now.getYear() % 100);
            case 0x32 -> decimal(now.getYear() / 100);
            case 0x0a -> NO_UPDATE_IN_PROGRESS;
            case 0x0b -> TWENTY_FOUR_HOURS;
            case 0x0d -> BATTERY_IS_GOOD;
            default -> 0;
        };
    }

    private static int decimal(int value) {
        return value / 10 << 4 | value % 10;
    }

    @Override
    public void write(int offset, int size, int value) {
        if (offset == 0) {
            index = value & 0x7f;
        }
    }
}
