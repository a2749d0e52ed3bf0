package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EFAULT;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.EIO;

import dev.kvmvfio.bindings.vfio.vfio_device_info;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_info_cap_header;
import dev.kvmvfio.bindings.vfio.vfio_region_info;
import dev.kvmvfio.mock.internal.pci.Bar;
import dev.kvmvfio.mock.internal.pci.PciConfigSpace;
import dev.kvmvfio.mock.internal.pci.PciFunction;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.CapabilityChain;
import dev.kvmvfio.mock.internal.system.Mapping;
import dev.kvmvfio.mock.internal.system.OpenFile;
import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What of a device a program can reach: its configuration space and its BARs, each at an offset of the device's file.
 */
final class VfioRegions {
    private static final int INDEX_SHIFT = 40;
    private static final long OFFSET_MASK = (1L << INDEX_SHIFT) - 1;
    private static final int CONFIG = vfio_h.VFIO_PCI_CONFIG_REGION_INDEX();
    private static final int ROM = vfio_h.VFIO_PCI_ROM_REGION_INDEX();
    private static final int VGA = vfio_h.VFIO_PCI_VGA_REGION_INDEX();
    private static final int REGIONS = vfio_h.VFIO_PCI_NUM_REGIONS();
    private static final int MSIX_ENTRY = 16;

    private final VfioPciDevice device;
    private final PciFunction function;

    VfioRegions(VfioPciDevice device) {
        this.device = device;
        this.function = device.function();
    }

    long getInfo(Argument argument) {
        long needed = vfio_device_info.cap_offset$offset();
        int argsz = vfio_device_info.argsz(argument.read(0, needed));
        Refusal.when(Integer.compareUnsigned(argsz, (int) needed) < 0, EINVAL);
        MemorySegment info = Argument.allocate(vfio_device_info.sizeof());
        vfio_device_info.argsz(info, argsz);
        vfio_device_info.flags(info, vfio_h.VFIO_DEVICE_FLAGS_PCI()
                | (function.description().reset() ? vfio_h.VFIO_DEVICE_FLAGS_RESET() : 0));
        vfio_device_info.num_regions(info, REGIONS);
        vfio_device_info.num_irqs(info, vfio_h.VFIO_PCI_NUM_IRQS());
        argument.write(0, info.asSlice(0, Math.min(Integer.toUnsignedLong(argsz), info.byteSize())));
        return 0;
    }

    long getRegionInfo(Argument argument) {
        MemorySegment info = argument.read(0, vfio_region_info.sizeof());
        int index = vfio_region_info.index(info);
        Refusal.when(Integer.compareUnsigned(vfio_region_info.argsz(info), (int) info.byteSize()) < 0
                || Integer.compareUnsigned(index, REGIONS) >= 0 || index == VGA, EINVAL);
        vfio_region_info.offset(info, (long) index << INDEX_SHIFT);
        vfio_region_info.size(info, size(index));
        vfio_region_info.flags(info, flags(index));
        vfio_region_info.cap_offset(info, 0);
        addCapabilities(argument, info, index);
        argument.write(0, info);
        return 0;
    }

    private long size(int index) {
        if (index == CONFIG) {
            return function.config().size();
        }
        return function.bar(index) == null ? 0 : function.bar(index).size();
    }

    private int flags(int index) {
        int readWrite = vfio_h.VFIO_REGION_INFO_FLAG_READ() | vfio_h.VFIO_REGION_INFO_FLAG_WRITE();
        if (size(index) == 0) {
            return 0;
        }
        return isMappable(index) ? readWrite | vfio_h.VFIO_REGION_INFO_FLAG_MMAP() : readWrite;
    }

    private boolean isMappable(int index) {
        return function.bar(index) != null && function.bar(index).isMappable();
    }

    private boolean hasMsixTable(int index) {
        return function.description().interrupts().msix() != null
                && function.description().interrupts().msix().bar() == index;
    }

    private void addCapabilities(Argument argument, MemorySegment info, int index) {
        if (!hasMsixTable(index) || !isMappable(index)) {
            return;
        }
        CapabilityChain chain = new CapabilityChain((int) info.byteSize(), function.machine());
        chain.add(vfio_h.VFIO_REGION_INFO_CAP_MSIX_MAPPABLE(), Argument.allocate(vfio_info_cap_header.sizeof()));
        vfio_region_info.flags(info, vfio_region_info.flags(info) | vfio_h.VFIO_REGION_INFO_FLAG_CAPS());
        if (Integer.compareUnsigned(vfio_region_info.argsz(info), chain.end()) < 0) {
            vfio_region_info.argsz(info, chain.end());
        } else {
            chain.write(argument, chain.end());
            vfio_region_info.cap_offset(info, (int) info.byteSize());
        }
    }

    long read(OpenFile.Buffer buffer, long position) {
        int index = index(position);
        long offset = position & OFFSET_MASK;
        if (buffer.size() == 0) {
            return 0;
        }
        MemorySegment bytes = index == CONFIG
                ? readConfig(offset, buffer.size())
                : readBar(index, offset, buffer.size());
        buffer.copyOut(bytes);
        return bytes.byteSize();
    }

    long write(OpenFile.Buffer buffer, long position) {
        int index = index(position);
        long offset = position & OFFSET_MASK;
        if (buffer.size() == 0) {
            return 0;
        }
        Refusal.when(index == ROM, EINVAL);
        long bytes = index == CONFIG ? buffer.size() : accessible(index, offset, buffer.size());
        MemorySegment from = buffer.copyIn(bytes);
        if (index == CONFIG) {
            writeConfig(offset, from);
        } else {
            access(index, offset, from, true);
        }
        return bytes;
    }

    private static int index(long position) {
        int index = (int) (position >>> INDEX_SHIFT);
        Refusal.when(index >= REGIONS, EINVAL);
        return index;
    }

    private void checkConfig(long offset, long bytes) {
        Refusal.when(offset + bytes > function.config().size(), EFAULT);
    }

    private MemorySegment readConfig(long offset, long bytes) {
        checkConfig(offset, bytes);
        MemorySegment content = Argument.allocate(bytes);
        for (int i = 0; i < bytes; i++) {
            content.set(ValueLayout.JAVA_BYTE, i, function.config().read((int) offset + i));
        }
        return content;
    }

    private void writeConfig(long offset, MemorySegment from) {
        checkConfig(offset, from.byteSize());
        for (int i = 0; i < from.byteSize(); i++) {
            function.config().write((int) offset + i, from.get(ValueLayout.JAVA_BYTE, i));
        }
        device.interrupts().setDisabledByCommand((function.config().command() & PciConfigSpace.INTX_DISABLE) != 0);
    }

    private MemorySegment readBar(int index, long offset, long bytes) {
        MemorySegment content = Argument.allocate(accessible(index, offset, bytes));
        access(index, offset, content, false);
        return content;
    }

    /** How many bytes of an access are inside the BAR; the rest is left out. */
    private long accessible(int index, long offset, long bytes) {
        Bar bar = function.bar(index);
        Refusal.when(bar == null || offset >= bar.size(), EINVAL);
        boolean decoded = (function.config().command() & PciConfigSpace.MEMORY) != 0;
        Refusal.when(!bar.spec().io() && !decoded, EIO);
        return Math.min(bytes, bar.size() - offset);
    }

    /** Goes through an access in the steps that the kernel makes of it: the largest that are aligned. */
    private void access(int index, long offset, MemorySegment bytes, boolean write) {
        Bar bar = function.bar(index);
        long tableStart = hasMsixTable(index) ? function.description().interrupts().msix().offset() : bar.size();
        long tableEnd = hasMsixTable(index)
                ? tableStart + (long) function.description().interrupts().msix().vectors() * MSIX_ENTRY
                : bar.size();
        int widest = function.machine().isAtLeast(KernelProfile.V6_12) ? Long.BYTES : Integer.BYTES;
        for (long done = 0; done < bytes.byteSize();) {
            long at = offset + done;
            long left = bytes.byteSize() - done;
            if (at >= tableStart && at < tableEnd) {
                long hidden = Math.min(left, tableEnd - at);
                if (!write) {
                    bytes.asSlice(done, hidden).fill((byte) 0xff);
                }
                done += hidden;
            } else {
                long reach = at < tableStart ? Math.min(left, tableStart - at) : left;
                int size = step(at, reach, widest);
                if (write) {
                    bar.write(function.endpoint(), at, size, bytes, done);
                } else {
                    bar.read(function.endpoint(), at, size, bytes, done);
                }
                done += size;
            }
        }
    }

    private static int step(long at, long reach, int widest) {
        int size = widest;
        while (size > reach || at % size != 0) {
            size /= 2;
        }
        return size;
    }

    Mapping map(OpenFile.MappingRequest request, OpenFile file) {
        int index = (int) (request.offset() >>> INDEX_SHIFT);
        long offset = request.offset() & OFFSET_MASK;
        Refusal.when(index >= REGIONS || !request.shared(), EINVAL);
        if (function.bar(index) != null && function.bar(index).spec().registers() != null) {
            throw new NotModelledException("mapping BAR " + index + " of " + function + ", which is registers,");
        }
        Refusal.when(!isMappable(index), EINVAL);
        Refusal.when(offset + request.length() > PhysicalMemory.wholePages(size(index)), EINVAL);
        return new Mapping(function.bar(index).block(), offset, request.length(), request.writable(), file);
    }
}
