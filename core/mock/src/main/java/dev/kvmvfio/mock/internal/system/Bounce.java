package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EFAULT;

import dev.kvmvfio.kernel.ObservedKernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
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
    private static Bounce current = new Bounce();

    private final FileChannel file;
    private final MemorySegment content;

    private Bounce() {
        try {
            file = FileChannel.open(Files.createTempFile("mock-kernel", ".bounce"), StandardOpenOption.READ,
                    StandardOpenOption.WRITE, StandardOpenOption.DELETE_ON_CLOSE);
            // Written once, so that a full disk shows here and not as a wrong address later.
            file.write(ByteBuffer.allocate(SIZE), 0);
            content = file.map(FileChannel.MapMode.READ_WRITE, 0, SIZE, Arena.global());
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    /** One way through the file; it answers how many bytes there were. */
    private interface Way {
        int go(Bounce bounce) throws IOException;
    }

    /** Linux does not look at the interrupt of a Java thread, which closes the channel: then there is another. */
    private static boolean passes(long bytes, Way way) {
        boolean interrupted = false;
        try {
            while (true) {
                interrupted |= Thread.interrupted();
                try {
                    current = current.file.isOpen() ? current : new Bounce();
                    return way.go(current) == bytes;
                } catch (ClosedChannelException anew) {
                    continue;
                } catch (IOException badAddress) {
                    return false;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** From an address. */
    static synchronized void in(long address, MemorySegment to) {
        for (long done = 0; done < to.byteSize(); done += SIZE) {
            long part = Math.min(SIZE, to.byteSize() - done);
            Refusal.when(!take(address + done, part), EFAULT);
            MemorySegment.copy(current.content, 0, to, done, part);
        }
    }

    /** To an address. */
    static synchronized void out(MemorySegment from, long address) {
        for (long done = 0; done < from.byteSize(); done += SIZE) {
            long start = done;
            long part = Math.min(SIZE, from.byteSize() - start);
            Refusal.when(!passes(part, bounce -> {
                MemorySegment.copy(from, start, bounce.content, 0, part);
                return bounce.file.read(at(address + start, part), 0);
            }), EFAULT);
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
        return passes(bytes, bounce -> bounce.file.write(at(address, bytes), 0));
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
