package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EFAULT;

import dev.kvmvfio.kernel.ObservedKernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;

/**
 * Copies from and to addresses of this process that may be wrong. The Java machine would die of a wrong one, but a
 * system call only fails: so the bytes take a way through a file, written by a call that reads them from the address,
 * and the other way round. That works on every operating system.
 */
final class Bounce {
    private static final int SIZE = 1 << 16;
    private static final long PAGE = 4096;
    private static final FileChannel FILE = open();
    private static final MemorySegment CONTENT = map();

    private Bounce() {
    }

    private static FileChannel open() {
        try {
            return FileChannel.open(Files.createTempFile("mock-kernel", ".bounce"), StandardOpenOption.READ,
                    StandardOpenOption.WRITE, StandardOpenOption.DELETE_ON_CLOSE);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    private static MemorySegment map() {
        try {
            // Written once, so that a full disk shows here and not as a wrong address later.
            FILE.write(ByteBuffer.allocate(SIZE), 0);
            return FILE.map(FileChannel.MapMode.READ_WRITE, 0, SIZE, Arena.global());
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    /** From an address. */
    static synchronized void in(long address, MemorySegment to) {
        for (long done = 0; done < to.byteSize(); done += SIZE) {
            long part = Math.min(SIZE, to.byteSize() - done);
            Refusal.when(!take(address + done, part), EFAULT);
            MemorySegment.copy(CONTENT, 0, to, done, part);
        }
    }

    /** To an address. */
    static synchronized void out(MemorySegment from, long address) {
        for (long done = 0; done < from.byteSize(); done += SIZE) {
            long part = Math.min(SIZE, from.byteSize() - done);
            MemorySegment.copy(from, done, CONTENT, 0, part);
            Refusal.when(!give(address + done, part), EFAULT);
        }
    }

    static synchronized boolean isMapped(long address, long bytes) {
        for (long page = address & -PAGE; page < address + bytes; page += PAGE) {
            if (!take(page, 1)) {
                return false;
            }
        }
        return true;
    }

    private static boolean take(long address, long bytes) {
        try {
            return FILE.write(at(address, bytes), 0) == bytes;
        } catch (IOException badAddress) {
            return false;
        }
    }

    private static boolean give(long address, long bytes) {
        try {
            return FILE.read(at(address, bytes), 0) == bytes;
        } catch (IOException badAddress) {
            return false;
        }
    }

    /** The buffer is only handed to system calls, which bear any address. */
    private static ByteBuffer at(long address, long bytes) {
        return NativeMemory.at(address, bytes).asByteBuffer();
    }

    /** Never made. What a subclass inherits needs native access for the library's own module and for no other. */
    private abstract static class NativeMemory extends ObservedKernel {
        private NativeMemory() {
            super(null);
        }

        private static MemorySegment at(long address, long bytes) {
            return memoryAt(address, bytes);
        }
    }
}
