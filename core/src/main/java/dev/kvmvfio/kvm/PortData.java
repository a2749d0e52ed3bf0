package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A port's exit and its values, which are where its {@code data_offset} says. */
record PortData(MemorySegment run, MemorySegment io) {
    private static final byte OUT = (byte) kvm_h.KVM_EXIT_IO_OUT();

    /** Whether the values are of a size that ports have, and inside of the memory that is shared with the kernel. */
    boolean isPossible() {
        int size = size();
        long all = Integer.toUnsignedLong(count()) * size;
        long offset = kvm_run.io.data_offset(io);
        return (size == Byte.BYTES || size == Short.BYTES || size == Integer.BYTES) && all > 0 && offset >= 0
                && offset <= run.byteSize() - all;
    }

    boolean isOut() {
        return kvm_run.io.direction(io) == OUT;
    }

    int port() {
        return Short.toUnsignedInt(kvm_run.io.port(io));
    }

    int size() {
        return kvm_run.io.size(io);
    }

    int count() {
        return kvm_run.io.count(io);
    }

    private long offset(int index) {
        if (index < 0 || index >= count()) {
            throw new IndexOutOfBoundsException("value " + index + " of " + count());
        }
        return kvm_run.io.data_offset(io) + (long) index * size();
    }

    int get(int index) {
        long offset = offset(index);
        return switch (size()) {
            case Byte.BYTES -> Byte.toUnsignedInt(run.get(ValueLayout.JAVA_BYTE, offset));
            case Short.BYTES -> Short.toUnsignedInt(run.get(ValueLayout.JAVA_SHORT_UNALIGNED, offset));
            default -> run.get(ValueLayout.JAVA_INT_UNALIGNED, offset);
        };
    }

    void set(int index, int value) {
        long offset = offset(index);
        switch (size()) {
            case Byte.BYTES -> run.set(ValueLayout.JAVA_BYTE, offset, (byte) value);
            case Short.BYTES -> run.set(ValueLayout.JAVA_SHORT_UNALIGNED, offset, (short) value);
            default -> run.set(ValueLayout.JAVA_INT_UNALIGNED, offset, value);
        }
    }

    String describe(String what) {
        return String.format("%s port 0x%x (%d %s%s)", what, port(), size(), size() == 1 ? "byte" : "bytes",
                count() == 1 ? "" : ", " + count() + " times");
    }

    @Override
    public String toString() {
        return String.format("%d values of %d bytes at offset 0x%x", Integer.toUnsignedLong(count()), size(),
                kvm_run.io.data_offset(io));
    }
}
