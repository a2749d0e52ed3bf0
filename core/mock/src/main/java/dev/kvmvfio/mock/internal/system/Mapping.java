package dev.kvmvfio.mock.internal.system;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A piece of a process's address space: pages of the machine's memory, and the file they came from, if any. */
public final class Mapping {
    private final Arena arena = Arena.ofShared();
    private final PhysicalMemory.Block block;
    private final long blockOffset;
    private final MemorySegment memory;
    private final boolean writable;
    private final OpenFile file;
    private final long address;
    private final long length;
    private final Origin origin = Origin.ofThisCall();
    private MemorySegment kernelView;

    /**
     * Maps a part of a block and takes a reference on it.
     *
     * @param file what keeps the mapping's file open, or null for anonymous memory
     */
    public Mapping(PhysicalMemory.Block block, long blockOffset, long length, boolean writable, OpenFile file) {
        this.block = block.get();
        this.blockOffset = blockOffset;
        this.memory = block.map(blockOffset, length, writable, arena);
        this.address = memory.address();
        this.length = length;
        this.writable = writable;
        this.file = file == null ? null : file.get();
    }

    long address() {
        return address;
    }

    long length() {
        return length;
    }

    MemorySegment memory() {
        return memory;
    }

    PhysicalMemory.Block block() {
        return block;
    }

    /**
     * The same bytes by a way of the kernel's own, which goes on when the process has unmapped them. Whoever uses it
     * holds the block.
     */
    MemorySegment kernelView() {
        if (kernelView == null) {
            kernelView = block.map(blockOffset, length, true, Arena.ofAuto());
        }
        return kernelView;
    }

    boolean writable() {
        return writable;
    }

    /** Pages of a device, which have no page structs and cannot be pinned like memory. */
    boolean ofDevice() {
        return file != null && file.isDevice();
    }

    Origin origin() {
        return origin;
    }

    void unmap() {
        arena.close();
        block.put();
        if (file != null) {
            file.put();
        }
    }

    @Override
    public String toString() {
        return String.format("0x%x bytes of %s at 0x%x", length(), file == null ? "anonymous memory" : file.name(),
                address());
    }
}
