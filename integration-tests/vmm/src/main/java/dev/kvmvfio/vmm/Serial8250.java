package dev.kvmvfio.vmm;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;

/**
 * The sending half of a 16550A serial port. Whatever is sent is gone at once, so the line status always says empty, and
 * the interrupt for that is pending whenever it is allowed and was not looked at yet. Nothing ever arrives.
 */
final class Serial8250 implements PortDevice {
    /** Where a PC has its first serial port, and the interrupt line of it. */
    static final int COM1 = 0x3f8;
    static final int PORTS = 8;
    static final int GSI = 4;

    private static final int DATA = 0;
    private static final int INTERRUPT_ENABLE = 1;
    private static final int INTERRUPT_IDENTITY = 2;
    private static final int LINE_CONTROL = 3;
    private static final int MODEM_CONTROL = 4;
    private static final int LINE_STATUS = 5;
    private static final int MODEM_STATUS = 6;
    private static final int SCRATCH = 7;

    private static final int DIVISOR_LATCH = 0x80;
    private static final int EMPTY_INTERRUPT = 0x02;
    private static final int NO_INTERRUPT = 0x01;
    private static final int FIFOS_ON = 0xc0;
    private static final int EMPTY = 0x60;
    private static final int LOOPBACK = 0x10;
    private static final int CONNECTED = 0xb0;

    /** The interrupt line. */
    interface Line {
        void set(boolean level);
    }

    private final OutputStream console;
    private final Line line;
    private final byte[] registers = new byte[PORTS];
    private final byte[] divisor = new byte[2];
    private int fifos;
    private boolean emptyPending;

    Serial8250(OutputStream console, Line line) {
        this.console = console;
        this.line = line;
    }

    private boolean isDivisor(int offset) {
        return offset <= INTERRUPT_ENABLE && (registers[LINE_CONTROL] & DIVISOR_LATCH) != 0;
    }

    @Override
    public int read(int offset, int size) {
        if (isDivisor(offset)) {
            return Byte.toUnsignedInt(divisor[offset]);
        }
        return switch (offset) {
            case DATA -> 0;
            case INTERRUPT_IDENTITY -> identify();
            case LINE_STATUS -> EMPTY;
            case MODEM_STATUS -> modemStatus();
            default -> Byte.toUnsignedInt(registers[offset]);
        };
    }

    /** Looking at the interrupt ends it. */
    private int identify() {
        boolean pending = emptyPending;
        setPending(false);
        return fifos | (pending ? EMPTY_INTERRUPT : NO_INTERRUPT);
    }

    /** In loopback the outputs DTR, RTS, OUT1, OUT2 arrive at the inputs DSR, CTS, RI, DCD. */
    private int modemStatus() {
        int control = registers[MODEM_CONTROL];
        if ((control & LOOPBACK) == 0) {
            return CONNECTED;
        }
        return (control & 0x0c) << 4 | (control & 0x01) << 5 | (control & 0x02) << 3;
    }

    @Override
    public void write(int offset, int size, int value) {
        if (isDivisor(offset)) {
            divisor[offset] = (byte) value;
            return;
        }
        switch (offset) {
            case DATA -> send(value);
            case INTERRUPT_ENABLE -> {
                registers[offset] = (byte) (value & 0x0f);
                setPending((value & EMPTY_INTERRUPT) != 0);
            }
            case INTERRUPT_IDENTITY -> fifos = (value & 1) != 0 ? FIFOS_ON : 0;
            case LINE_CONTROL, MODEM_CONTROL, SCRATCH -> registers[offset] = (byte) value;
            default -> {
                // The status registers cannot be written.
            }
        }
    }

    private void send(int value) {
        if ((registers[MODEM_CONTROL] & LOOPBACK) == 0) {
            try {
                console.write(value);
                console.flush();
            } catch (IOException failure) {
                throw new UncheckedIOException("the console cannot be written", failure);
            }
        }
        setPending((registers[INTERRUPT_ENABLE] & EMPTY_INTERRUPT) != 0);
    }

    /** The line falls and rises again even when it was up, because a PC's serial interrupt triggers on the edge. */
    private void setPending(boolean pending) {
        if (emptyPending) {
            line.set(false);
        }
        emptyPending = pending;
        if (pending) {
            line.set(true);
        }
    }
}
