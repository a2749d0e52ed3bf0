package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_region_info;
import dev.kvmvfio.bindings.vfio.vfio_region_info_cap_sparse_mmap;
import dev.kvmvfio.bindings.vfio.vfio_region_sparse_mmap_area;
import dev.kvmvfio.internal.Answer;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A part of a device that can be read and written: a BAR, the ROM, the configuration space. Access through the methods
 * here is a system call each; where the region allows it, {@link #map()} makes it memory.
 *
 * <p>Values are little-endian, as PCI's are. It belongs to its device and needs no closing.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class Region {
    /** The first BAR; the others follow. */
    public static final int BAR0 = vfio_h.VFIO_PCI_BAR0_REGION_INDEX();
    /** The expansion ROM. */
    public static final int ROM = vfio_h.VFIO_PCI_ROM_REGION_INDEX();
    /** The configuration space. */
    public static final int CONFIG = vfio_h.VFIO_PCI_CONFIG_REGION_INDEX();

    static final Ioctl GET_REGION_INFO = new Ioctl("VFIO_DEVICE_GET_REGION_INFO",
            vfio_h.VFIO_DEVICE_GET_REGION_INFO());

    private final VfioDevice device;
    private final int index;
    private final int flags;
    private final long size;
    private final long fileOffset;
    private final List<Area> mappableAreas;
    private final boolean msixMappable;

    /**
     * A part of a region that can be mapped.
     *
     * @param offset within the region, in bytes
     * @param size in bytes
     */
    public record Area(long offset, long size) {
        @Override
        public String toString() {
            return String.format("0x%x..0x%x", offset, offset + size - 1);
        }
    }

    private Region(VfioDevice device, int index, Answer answer, MemorySegment info) {
        this.device = device;
        this.index = index;
        this.flags = vfio_region_info.flags(info);
        this.size = vfio_region_info.size(info);
        this.fileOffset = vfio_region_info.offset(info);
        if (size < 0 || fileOffset < 0 || fileOffset + size < 0) {
            throw answer.isOdd(String.format("for index %d a size of 0x%x at offset 0x%x, which no file has", index,
                    size, fileOffset));
        }
        List<Capability> capabilities = Capability.chain(answer, info, vfio_region_info.cap_offset(info));
        this.mappableAreas = isMappable() ? areas(capabilities) : List.of();
        this.msixMappable = capabilities.stream()
                .anyMatch(capability -> capability.id() == vfio_h.VFIO_REGION_INFO_CAP_MSIX_MAPPABLE());
    }

    /** Returns null for an index that this device does not have, such as the VGA region of what is no VGA device. */
    static @Nullable Region read(VfioDevice device, int index) {
        Answer answer = new Answer(GET_REGION_INFO.name(), device);
        try (Arena arena = Arena.ofConfined()) {
            return GrowingInfo.ask(arena, vfio_region_info.sizeof(), answer, info -> ask(device, index, info))
                    .map(info -> new Region(device, index, answer, info)).orElse(null);
        }
    }

    private static boolean ask(VfioDevice device, int index, MemorySegment info) {
        vfio_region_info.index(info, index);
        int result = device.fd().ioctl(GET_REGION_INFO, info);
        if (result < 0 && !Errno.EINVAL.is(result)) {
            throw new KernelException(GET_REGION_INFO.name(), device, "index=" + index, result, "");
        }
        return result >= 0;
    }

    private List<Area> areas(List<Capability> capabilities) {
        return capabilities.stream()
                .filter(capability -> capability.id() == vfio_h.VFIO_REGION_INFO_CAP_SPARSE_MMAP()).findFirst()
                .map(this::sparse).orElse(List.of(new Area(0, size)));
    }

    private List<Area> sparse(Capability capability) {
        long first = vfio_region_info_cap_sparse_mmap.sizeof();
        MemorySegment body = capability.body(first);
        List<Area> areas = capability.answer().array("areas for index " + index,
                vfio_region_info_cap_sparse_mmap.nr_areas(body), body.asSlice(first),
                vfio_region_sparse_mmap_area.sizeof(),
                area -> new Area(vfio_region_sparse_mmap_area.offset(area), vfio_region_sparse_mmap_area.size(area)));
        List<Area> sorted = areas.stream().sorted(Comparator.comparingLong(Area::offset)).toList();
        long end = 0;
        for (Area area : sorted) {
            if (area.offset < end || area.size < 0 || area.size > size - area.offset) {
                throw capability.answer().isOdd("for index " + index + " the areas " + areas
                        + String.format(", which overlap or are outside of 0x%x bytes", size));
            }
            end = area.offset + area.size;
        }
        return sorted;
    }

    /**
     * Which region it is.
     *
     * @return a {@code VFIO_PCI_..._REGION_INDEX}, or a number beyond them that the device defines
     */
    public int index() {
        return index;
    }

    /**
     * How large it is.
     *
     * @return bytes; 0 for a BAR that the device does not use
     */
    public long size() {
        return size;
    }

    /**
     * Whether it can be read.
     *
     * @return what {@code VFIO_REGION_INFO_FLAG_READ} says
     */
    public boolean isReadable() {
        return (flags & vfio_h.VFIO_REGION_INFO_FLAG_READ()) != 0;
    }

    /**
     * Whether it can be written.
     *
     * @return what {@code VFIO_REGION_INFO_FLAG_WRITE} says
     */
    public boolean isWritable() {
        return (flags & vfio_h.VFIO_REGION_INFO_FLAG_WRITE()) != 0;
    }

    /**
     * Whether any of it can be mapped.
     *
     * @return what {@code VFIO_REGION_INFO_FLAG_MMAP} says
     */
    public boolean isMappable() {
        return (flags & vfio_h.VFIO_REGION_INFO_FLAG_MMAP()) != 0;
    }

    /**
     * Which parts of it can be mapped.
     *
     * @return all of it, or the areas of the sparse mmap capability; empty when it cannot be mapped
     */
    public List<Area> mappableAreas() {
        return mappableAreas;
    }

    /**
     * Whether the page with the MSI-X table may be mapped like the rest.
     *
     * @return what the capability {@code VFIO_REGION_INFO_CAP_MSIX_MAPPABLE} says
     */
    public boolean isMsixMappable() {
        return msixMappable;
    }

    /**
     * Maps the whole region.
     *
     * @return the region as memory, which belongs to the device
     * @throws KernelException when the kernel refuses
     */
    public RegionMapping map() {
        return map(0, size);
    }

    /**
     * Maps a part of the region.
     *
     * @param offset within the region, in bytes; a multiple of the page size
     * @param size in bytes
     * @return that part as memory, which belongs to the device
     * @throws KernelException when the kernel refuses; {@code EINVAL} when that part cannot be mapped
     */
    public RegionMapping map(long offset, long size) {
        return Lifecycle.lease(device, () -> makeMapping(offset, size));
    }

    private RegionMapping makeMapping(long offset, long size) {
        int protection = (isReadable() ? system_h.PROT_READ() : 0) | (isWritable() ? system_h.PROT_WRITE() : 0);
        long address = device.fd().mmap(size, protection, system_h.MAP_SHARED(), fileOffset + offset);
        if (address < 0) {
            throw new KernelException("mmap", this, String.format("offset=0x%x, length=0x%x", offset, size), address,
                    "The parts that can be mapped are " + mappableAreas);
        }
        return Lifecycle.adopt(new RegionMapping(this, offset, address, size), device);
    }

    /**
     * {@code pread(2)} of the region. The kernel splits it as it likes: for a register use a method of its width.
     *
     * @param position within the region, in bytes
     * @param target native memory to fill
     * @throws IllegalArgumentException when it is on Java's heap or read-only
     * @throws IndexOutOfBoundsException when it reaches outside the region
     * @throws KernelException when the kernel refuses
     */
    public void read(long position, MemorySegment target) {
        check(position, target.byteSize());
        complete("pread", position, target.byteSize(), device.fd().pread(target, fileOffset + position));
    }

    /**
     * {@code pwrite(2)} of the region. The kernel splits it as it likes: for a register use a method of its width.
     *
     * @param position within the region, in bytes
     * @param source native memory to write
     * @throws IllegalArgumentException when it is on Java's heap
     * @throws IndexOutOfBoundsException when it reaches outside the region
     * @throws KernelException when the kernel refuses
     */
    public void write(long position, MemorySegment source) {
        check(position, source.byteSize());
        complete("pwrite", position, source.byteSize(), device.fd().pwrite(source, fileOffset + position));
    }

    private void check(long position, long bytes) {
        if (position < 0 || bytes > size - position) {
            throw new IndexOutOfBoundsException(
                    String.format("%d bytes at 0x%x reach outside %s", bytes, position, this));
        }
    }

    private void complete(String operation, long position, long wanted, long result) {
        if (result != wanted) {
            throw new KernelException(operation, this,
                    String.format("position=0x%x, length=%d, transferred=%d", position, wanted, Math.max(result, 0)),
                    result < 0 ? result : -Errno.EIO.number(), "");
        }
    }

    /**
     * Reads one byte.
     *
     * @param position within the region, in bytes
     * @return the byte
     */
    public byte readByte(long position) {
        return take(position, ValueLayout.JAVA_BYTE).get(ValueLayout.JAVA_BYTE, 0);
    }

    /**
     * Reads two bytes at once.
     *
     * @param position within the region, in bytes
     * @return the value
     */
    public short readShort(long position) {
        return take(position, ValueLayout.JAVA_SHORT).get(ValueLayout.JAVA_SHORT, 0);
    }

    /**
     * Reads four bytes at once.
     *
     * @param position within the region, in bytes
     * @return the value
     */
    public int readInt(long position) {
        return take(position, ValueLayout.JAVA_INT).get(ValueLayout.JAVA_INT, 0);
    }

    /**
     * Reads eight bytes, in one access where the kernel can.
     *
     * @param position within the region, in bytes
     * @return the value
     */
    public long readLong(long position) {
        return take(position, ValueLayout.JAVA_LONG).get(ValueLayout.JAVA_LONG, 0);
    }

    private MemorySegment take(long position, ValueLayout layout) {
        MemorySegment value = Scratch.begin().allocate(layout);
        read(position, value);
        return value;
    }

    /**
     * Writes one byte.
     *
     * @param position within the region, in bytes
     * @param value the byte
     */
    public void writeByte(long position, byte value) {
        MemorySegment source = Scratch.begin().allocate(ValueLayout.JAVA_BYTE);
        source.set(ValueLayout.JAVA_BYTE, 0, value);
        write(position, source);
    }

    /**
     * Writes two bytes at once.
     *
     * @param position within the region, in bytes
     * @param value the value
     */
    public void writeShort(long position, short value) {
        MemorySegment source = Scratch.begin().allocate(ValueLayout.JAVA_SHORT);
        source.set(ValueLayout.JAVA_SHORT, 0, value);
        write(position, source);
    }

    /**
     * Writes four bytes at once.
     *
     * @param position within the region, in bytes
     * @param value the value
     */
    public void writeInt(long position, int value) {
        MemorySegment source = Scratch.begin().allocate(ValueLayout.JAVA_INT);
        source.set(ValueLayout.JAVA_INT, 0, value);
        write(position, source);
    }

    /**
     * Writes eight bytes, in one access where the kernel can.
     *
     * @param position within the region, in bytes
     * @param value the value
     */
    public void writeLong(long position, long value) {
        MemorySegment source = Scratch.begin().allocate(ValueLayout.JAVA_LONG);
        source.set(ValueLayout.JAVA_LONG, 0, value);
        write(position, source);
    }

    /**
     * Whose region it is.
     *
     * @return the device
     */
    public VfioDevice device() {
        return device;
    }

    /**
     * What people call it.
     *
     * @return such as {@code BAR 0} or {@code config space}
     */
    public String name() {
        if (index >= BAR0 && index < ROM) {
            return "BAR " + (index - BAR0);
        }
        return index == ROM ? "ROM" : index == CONFIG ? "config space" : "region " + index;
    }

    /**
     * What can be done with it.
     *
     * @return words of read, write, mmap
     */
    public List<String> access() {
        List<String> words = new ArrayList<>();
        if (isReadable()) {
            words.add("read");
        }
        if (isWritable()) {
            words.add("write");
        }
        if (isMappable()) {
            words.add("mmap");
        }
        return List.copyOf(words);
    }

    @Override
    public String toString() {
        return String.format("%s of %s, 0x%x bytes, %s", name(), device, size, String.join(" ", access()));
    }
}
