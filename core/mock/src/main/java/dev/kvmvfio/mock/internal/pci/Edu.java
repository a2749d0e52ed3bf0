package dev.kvmvfio.mock.internal.pci;

import dev.kvmvfio.mock.model.BarRegisters;
import dev.kvmvfio.mock.model.PciEndpoint;
import java.lang.foreign.MemorySegment;

/** The registers of QEMU's teaching device. */
public final class Edu implements BarRegisters {
    private static final int IDENTITY = 0x00;
    private static final int LIVENESS = 0x04;
    private static final int FACTORIAL = 0x08;
    private static final int STATUS = 0x20;
    private static final int INTERRUPT_STATUS = 0x24;
    private static final int RAISE = 0x60;
    private static final int ACKNOWLEDGE = 0x64;
    private static final int DMA_SOURCE = 0x80;
    private static final int DMA_DESTINATION = 0x88;
    private static final int DMA_COUNT = 0x90;
    private static final int DMA_COMMAND = 0x98;

    private static final int IDENTITY_VALUE = 0x010000ed;
    private static final int STATUS_INTERRUPT = 0x80;
    private static final int DMA_START = 0x1;
    private static final int DMA_TO_MEMORY = 0x2;
    private static final int DMA_INTERRUPT = 0x4;
    private static final int FACTORIAL_INTERRUPT = 0x1;
    private static final int DMA_DONE_INTERRUPT = 0x100;

    /** The device's own memory, as its DMA addresses it, and the addresses outside that it can reach. */
    private static final long BUFFER = 0x40000;
    private static final int BUFFER_SIZE = 4096;
    private static final long DMA_MASK = (1L << 28) - 1;
    private static final long NOTHING = -1L;
    private static final long TOO_NARROW = 0;

    private final MemorySegment buffer = MemorySegment.ofArray(new byte[BUFFER_SIZE]);
    private int inverted;
    private int factorial;
    private int status;
    private int interrupts;
    private long source;
    private long destination;
    private long count;
    private long command;

    @Override
    public long read(PciEndpoint device, long offset, int size) {
        boolean dma = offset >= DMA_SOURCE;
        if (size < Integer.BYTES) {
            return TOO_NARROW;
        }
        if (size != Integer.BYTES && !dma) {
            return NOTHING;
        }
        return switch ((int) offset) {
            case IDENTITY -> IDENTITY_VALUE;
            case LIVENESS -> Integer.toUnsignedLong(inverted);
            case FACTORIAL -> Integer.toUnsignedLong(factorial);
            case STATUS -> Integer.toUnsignedLong(status);
            case INTERRUPT_STATUS -> Integer.toUnsignedLong(interrupts);
            case DMA_SOURCE -> source;
            case DMA_DESTINATION -> destination;
            case DMA_COUNT -> count;
            case DMA_COMMAND -> command;
            default -> NOTHING;
        };
    }

    @Override
    public void write(PciEndpoint device, long offset, int size, long value) {
        boolean dma = offset >= DMA_SOURCE;
        if (size != Integer.BYTES && !(dma && size == Long.BYTES)) {
            return;
        }
        switch ((int) offset) {
            case LIVENESS -> inverted = ~(int) value;
            case FACTORIAL -> compute(device, (int) value);
            case STATUS -> status = (int) value & STATUS_INTERRUPT;
            case RAISE -> raise(device, (int) value);
            case ACKNOWLEDGE -> acknowledge(device, (int) value);
            case DMA_SOURCE -> source = value;
            case DMA_DESTINATION -> destination = value;
            case DMA_COUNT -> count = value;
            case DMA_COMMAND -> start(device, value);
            default -> {
                // Nothing is there.
            }
        }
    }

    private void compute(PciEndpoint device, int number) {
        int product = 1;
        for (int factor = number; factor > 0; factor--) {
            product *= factor;
        }
        factorial = product;
        if ((status & STATUS_INTERRUPT) != 0) {
            raise(device, FACTORIAL_INTERRUPT);
        }
    }

    private void raise(PciEndpoint device, int bits) {
        interrupts |= bits;
        if (interrupts == 0) {
            return;
        }
        if (device.hasMessages()) {
            device.sendMessage(0);
        } else {
            device.raiseIntx();
        }
    }

    private void acknowledge(PciEndpoint device, int bits) {
        interrupts &= ~bits;
        if (interrupts == 0) {
            device.lowerIntx();
        }
    }

    /** Moves the bytes at once; a program that waits for the command's lowest bit to fall does not wait long. */
    private void start(PciEndpoint device, long value) {
        command = value & ~DMA_START;
        if ((value & DMA_START) == 0) {
            return;
        }
        if ((value & DMA_TO_MEMORY) != 0) {
            transfer(source, slice -> device.write(destination & DMA_MASK, slice));
        } else {
            transfer(destination, slice -> device.read(source & DMA_MASK, slice));
        }
        if ((value & DMA_INTERRUPT) != 0) {
            raise(device, DMA_DONE_INTERRUPT);
        }
    }

    private interface Transfer {
        boolean run(MemorySegment slice);
    }

    private void transfer(long inDevice, Transfer transfer) {
        long start = inDevice - BUFFER;
        boolean inside = start >= 0 && count >= 0 && start <= BUFFER_SIZE && count <= BUFFER_SIZE - start;
        if (inside) {
            transfer.run(buffer.asSlice(start, count));
        }
    }

    /** The device has no reset. */
    @Override
    public void reset() {
    }
}
