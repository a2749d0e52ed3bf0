package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EFAULT;

import java.lang.foreign.MemorySegment;

/**
 * Memory of the process that devices may be given. What this mock mapped itself stays the same memory after the process
 * unmapped it, as pinned pages do; other memory is known by its address only.
 */
public final class Pages {
    private final Machine machine;
    private final long address;
    private final long size;
    private final boolean forWriting;
    private final boolean allowsDevices;
    private final Accounting accounting;
    private Mapping mapping;
    private PhysicalMemory.Block block;
    private int pins;

    /**
     * Names memory, without looking at it yet.
     *
     * @param forWriting whether a device will write
     * @param allowsDevices whether it may be another device's BAR
     */
    public Pages(Machine machine, long address, long size, boolean forWriting, boolean allowsDevices,
            Accounting accounting) {
        this.machine = machine;
        this.address = address;
        this.size = size;
        this.forWriting = forWriting;
        this.allowsDevices = allowsDevices;
        this.accounting = accounting;
    }

    /** Who pays for pinned pages. */
    public enum Accounting {
        /** The process, as type1 has it. */
        PROCESS,
        /** The user, as iommufd has it. */
        USER
    }

    public boolean forWriting() {
        return forWriting;
    }

    public long address() {
        return address;
    }

    long size() {
        return size;
    }

    /** Makes the pages stay, once for each time. */
    public void pin() {
        if (pins == 0) {
            find();
            try {
                account(pageCount());
            } catch (Refusal limit) {
                forget();
                throw limit;
            }
        }
        pins++;
    }

    public void unpin() {
        if (--pins == 0) {
            account(-pageCount());
            forget();
        }
    }

    private void find() {
        mapping = machine.process().addressSpace().covering(address, size);
        if (mapping == null) {
            Mapping first = machine.process().addressSpace().covering(address, 1);
            boolean leavesBar = first != null && first.ofDevice();
            Refusal.when(leavesBar || !machine.userMemory().isMapped(address, size), EFAULT);
        } else {
            Refusal.when(forWriting && !mapping.writable() || mapping.ofDevice() && !allowsDevices, EFAULT);
            block = mapping.block().get();
        }
    }

    private void forget() {
        if (block != null) {
            block.put();
            block = null;
        }
        mapping = null;
    }

    /** A device's BAR is not memory of the process and costs nothing. */
    private long pageCount() {
        long first = address & -PhysicalMemory.PAGE;
        return mapping != null && mapping.ofDevice()
                ? 0
                : PhysicalMemory.wholePages(address + size - first) / PhysicalMemory.PAGE;
    }

    private void account(long pages) {
        UserProcess process = machine.process();
        if (accounting == Accounting.PROCESS) {
            process.lock(pages);
        } else {
            process.pin(pages);
        }
    }

    public MemorySegment read(long offset, long bytes) {
        if (mapping == null) {
            return machine.userMemory().read(address + offset, bytes);
        }
        MemorySegment copy = Argument.allocate(bytes);
        MemorySegment.copy(memory(), inMapping(offset), copy, 0, bytes);
        return copy;
    }

    public void write(long offset, MemorySegment from) {
        if (mapping == null) {
            machine.userMemory().write(address + offset, from);
        } else {
            MemorySegment.copy(from, 0, memory(), inMapping(offset), from.byteSize());
        }
    }

    private MemorySegment memory() {
        return mapping.kernelView();
    }

    private long inMapping(long offset) {
        return address - mapping.address() + offset;
    }
}
