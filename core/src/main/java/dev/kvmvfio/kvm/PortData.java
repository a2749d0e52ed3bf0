package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.kernel.ClosedException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A port's exit and its values, which are where its {@code data_offset} says. */
final class PortData {
    private static final byte OUT = (byte) kvm_h.KVM_EXIT_IO_OUT();

    private final Vcpu vcpu;
    private final MemorySegment run;
    private final MemorySegment io;
    private int port;
    private int size;
    private int count;
    private long offset;
    private int first;

    PortData(Vcpu vcpu, MemorySegment run) {
        this.vcpu = vcpu;
        this.run = run;
        this.io = kvm_run.io(run);
    }

    /**
     * Takes what the exit tells.
     *
     * @return whether the values are of a size that ports have, and inside of the memory that is shared with the kernel
     */
    boolean read() {
        port = Short.toUnsignedInt(kvm_run.io.port(io));
        size = kvm_run.io.size(io);
        count = kvm_run.io.count(io);
        offset = kvm_run.io.data_offset(io);
        long all = Integer.toUnsignedLong(count) * size;
        boolean possible = (size == Byte.BYTES || size == Short.BYTES || size == Integer.BYTES) && all > 0
                && offset >= 0
                && offset <= run.byteSize() - all;
        first = possible ? at(offset) : 0;
        return possible;
    }

    boolean isOut() {
        return kvm_run.io.direction(io) == OUT;
    }

    int port() {
        return port;
    }

    int size() {
        return size;
    }

    int count() {
        return count;
    }

    private long offset(int index) {
        if (index < 0 || index >= count) {
            throw new IndexOutOfBoundsException("value " + index + " of " + count);
        }
        return offset + (long) index * size;
    }

    private int at(long place) {
        return switch (size) {
            case Byte.BYTES -> Byte.toUnsignedInt(run.get(ValueLayout.JAVA_BYTE, place));
            case Short.BYTES -> Short.toUnsignedInt(run.get(ValueLayout.JAVA_SHORT_UNALIGNED, place));
            default -> run.get(ValueLayout.JAVA_INT_UNALIGNED, place);
        };
    }

    int get(int index) {
        if (index == 0) {
            return first;
        }
        long place = offset(index);
        try {
            return at(place);
        } catch (IllegalStateException gone) {
            throw new ClosedException(vcpu);
        }
    }

    void set(int index, int value) {
        long place = offset(index);
        try {
            switch (size) {
                case Byte.BYTES -> run.set(ValueLayout.JAVA_BYTE, place, (byte) value);
                case Short.BYTES -> run.set(ValueLayout.JAVA_SHORT_UNALIGNED, place, (short) value);
                default -> run.set(ValueLayout.JAVA_INT_UNALIGNED, place, value);
            }
        } catch (IllegalStateException gone) {
            throw new ClosedException(vcpu);
        }
    }

    String describe(String what) {
        return String.format("%s port 0x%x (%d %s%s)", what, port, size, size == 1 ? "byte" : "bytes",
                count == 1 ? "" : ", " + count + " times");
    }

    @Override
    public String toString() {
        return String.format("%d values of %d bytes at offset 0x%x", Integer.toUnsignedLong(count), size, offset);
    }
}
