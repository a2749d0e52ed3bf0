package dev.kvmvfio.mock.internal.system;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * The machine's memory and its devices' BARs: one sparse file, of which any part can be mapped any number of times.
 * Mappings of the same part share their bytes and have addresses of their own, as with a real {@code mmap}.
 */
public final class PhysicalMemory {
    public static final long PAGE = 4096;

    private final Map<Long, Deque<Long>> free = new HashMap<>();
    private FileChannel file;
    private long end;

    public static long wholePages(long bytes) {
        return bytes + PAGE - 1 & -PAGE;
    }

    /** A part of this memory that stays as long as somebody holds it; it begins as zeroes. */
    public final class Block {
        private final long offset;
        private final long size;
        private int references = 1;

        private Block(long offset, long size) {
            this.offset = offset;
            this.size = size;
        }

        long size() {
            return size;
        }

        Block get() {
            references++;
            return this;
        }

        public void put() {
            if (--references == 0) {
                free.computeIfAbsent(size, _ -> new ArrayDeque<>()).push(offset);
            }
        }

        public MemorySegment map(long from, long length, boolean writable, Arena arena) {
            try {
                return file().map(writable ? FileChannel.MapMode.READ_WRITE : FileChannel.MapMode.READ_ONLY,
                        offset + from, length, arena);
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
        }
    }

    /** Takes whole pages. */
    public Block allocate(long bytes) {
        long size = wholePages(bytes);
        Deque<Long> reusable = free.getOrDefault(size, new ArrayDeque<>());
        if (reusable.isEmpty()) {
            Block block = new Block(end, size);
            end += size;
            return block;
        }
        Block block = new Block(reusable.pop(), size);
        try (Arena arena = Arena.ofShared()) {
            block.map(0, size, true, arena).fill((byte) 0);
        }
        return block;
    }

    private FileChannel file() throws IOException {
        if (file == null) {
            file = FileChannel.open(Files.createTempFile("mock-kernel", ".memory"), StandardOpenOption.READ,
                    StandardOpenOption.WRITE, StandardOpenOption.DELETE_ON_CLOSE);
        }
        return file;
    }

    void close() {
        try {
            if (file != null) {
                file.close();
            }
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
