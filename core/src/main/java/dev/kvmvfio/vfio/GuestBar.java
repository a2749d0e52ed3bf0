package dev.kvmvfio.vfio;

import dev.kvmvfio.internal.Failures;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.PageAlignment;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.MemorySlot;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.vfio.Region.Area;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A device's BAR as the guest sees it. What the kernel lets be mapped becomes memory slots, so that the guest reaches
 * the device without the VMM; the rest traps, and comes to the VMM as MMIO exits.
 *
 * {@snippet :
 * try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm()) {
 *     GuestDevice device = AttachedDevice.request("0000:6a:01.0").attach(vm).device();
 *     GuestBar bar = device.mapBar(0);
 *     bar.place(0xe000_0000L);                 // the guest switched memory decoding on
 *     bar.place(0xe400_0000L);                 // and moved the BAR
 *     bar.remove();                            // and switched decoding off
 * }
 * }
 *
 * <p>The pages of the MSI-X table always trap, although the kernel lets a program map them since Linux 4.16
 * ({@link Region#isMsixMappable}): the kernel fills the real table, and a guest that reached it would write its own
 * addresses there. So does what is no whole page.
 *
 * <p>It belongs to its device and to its VM.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class GuestBar extends Handle {
    private final Vm vm;
    private final Region region;
    private final List<RegionMapping> mappings = new ArrayList<>();
    /** Held by what moves the BAR: a close waits for it, and it for no close. */
    private final ReentrantLock moving = new ReentrantLock();
    private volatile @Nullable Placement placement;

    private record Placement(long address, List<MemorySlot> slots) {
        /** With slots that are on their way out. */
        Placement with(List<MemorySlot> others) {
            return new Placement(address, Stream.concat(slots.stream(), others.stream()).toList());
        }
    }

    private GuestBar(Vm vm, Region region) {
        super(Rank.USE);
        this.vm = vm;
        this.region = region;
    }

    static GuestBar map(GuestDevice device, int index) {
        Region region = device.region(Region.BAR0 + index);
        if (region.index() < Region.BAR0 || region.index() >= Region.ROM || region.size() == 0) {
            throw new IllegalArgumentException(region + " is no BAR that a guest can see");
        }
        return Lifecycle.complete(Lifecycle.adopt(new GuestBar(device.vm(), region), device, device.vm()),
                GuestBar::map);
    }

    private void map() {
        for (Area area : mappable(region, vm.fd().kernel())) {
            mappings.add(Lifecycle.adopt(region.map(area.offset(), area.size()), this));
        }
    }

    private static List<Area> mappable(Region region, Kernel kernel) {
        long page = PageAlignment.pageSize(kernel);
        List<Area> areas = new ArrayList<>();
        for (Area area : region.mappableAreas()) {
            addWholePages(areas, area.offset(), area.offset() + area.size(), page);
        }
        return region.device().msixTable().filter(table -> table.region() == region.index())
                .map(table -> without(table, areas, page)).orElse(areas);
    }

    private static List<Area> without(MsixTable table, List<Area> areas, long page) {
        long start = table.offset() & -page;
        long end = table.offset() + table.size() + page - 1 & -page;
        List<Area> rest = new ArrayList<>();
        for (Area area : areas) {
            long areaEnd = area.offset() + area.size();
            addWholePages(rest, area.offset(), Math.min(areaEnd, start), page);
            addWholePages(rest, Math.max(area.offset(), end), areaEnd, page);
        }
        return rest;
    }

    private static void addWholePages(List<Area> areas, long from, long to, long page) {
        long start = from + page - 1 & -page;
        long end = to & -page;
        if (start < end) {
            areas.add(new Area(start, end - start));
        }
    }

    /**
     * Puts the BAR at an address, or moves it there. When the kernel refuses the new place, it stays where it was; when it
     * refuses to give up the old one, the guest sees it at both, and the next move tries again.
     *
     * @param guestPhysicalAddress where the guest sees it, in bytes; a multiple of the BAR's size
     * @throws IllegalArgumentException when the address is no multiple of the BAR's size
     * @throws ClosedException when the BAR or its device is closed
     * @throws KernelException when the kernel refuses; {@code EEXIST} when a memory slot is in the way
     */
    public void place(long guestPhysicalAddress) {
        if ((guestPhysicalAddress & region.size() - 1) != 0) {
            throw new IllegalArgumentException(String.format("0x%x is no multiple of the size of %s",
                    guestPhysicalAddress, region));
        }
        move(old -> {
            if (old == null || old.address() != guestPhysicalAddress) {
                Placement moved = new Placement(guestPhysicalAddress, slotsAt(guestPhysicalAddress));
                placement = old == null ? moved : moved.with(old.slots());
                remove(old);
                placement = moved;
            }
        });
    }

    private void move(Consumer<@Nullable Placement> change) {
        Lifecycle.lease(this, () -> {
            moving.lock();
            try {
                removeRefused();
                change.accept(placement);
            } finally {
                moving.unlock();
            }
            return this;
        });
    }

    /** What the kernel refused to remove before is tried again first. */
    private void removeRefused() {
        Placement now = placement;
        if (now != null) {
            Lifecycle.closeAll(now.slots().reversed().stream().filter(slot -> !slot.isOpen()).toList());
            if (!now.slots().isEmpty() && now.slots().stream().noneMatch(Handle::isOpen)) {
                placement = null;
            }
        }
    }

    private List<MemorySlot> slotsAt(long address) {
        List<MemorySlot> slots = new ArrayList<>();
        try {
            for (RegionMapping mapping : mappings) {
                slots.add(vm.memory().add(address + mapping.offset(), mapping));
            }
            return slots;
        } catch (Throwable failure) {
            new Failures(failure).attempt(() -> Lifecycle.closeAll(slots.reversed()));
            List<MemorySlot> left = slots.stream().filter(slot -> !Lifecycle.isClosed(slot)).toList();
            if (!left.isEmpty()) {
                placement = placement == null ? new Placement(address, left) : placement.with(left);
            }
            throw failure;
        }
    }

    /**
     * Takes the BAR out of the guest; {@link #place} brings it back. Nothing happens when it is not placed.
     *
     * @throws KernelException when the kernel refuses
     * @throws ClosedException when the BAR or its device is closed
     */
    public void remove() {
        move(old -> {
            remove(old);
            placement = null;
        });
    }

    private static void remove(@Nullable Placement old) {
        if (old != null) {
            Lifecycle.closeAll(old.slots().reversed());
        }
    }

    /**
     * Where it is.
     *
     * @return the guest-physical address in bytes; empty when it is not placed
     */
    public OptionalLong address() {
        Placement now = placement;
        return now == null ? OptionalLong.empty() : OptionalLong.of(now.address());
    }

    /**
     * Whose registers the guest sees.
     *
     * @return the BAR itself, to answer a trapped access by
     */
    public Region region() {
        return region;
    }

    /**
     * The parts that the guest reaches without the VMM.
     *
     * @return areas of the region, in ascending order
     */
    public List<Area> mappedAreas() {
        return mappings.stream().map(mapping -> new Area(mapping.offset(), mapping.size())).toList();
    }

    /**
     * The parts that come to the VMM as MMIO exits.
     *
     * @return areas of the region, in ascending order
     */
    public List<Area> trappedAreas() {
        List<Area> trapped = new ArrayList<>();
        long from = 0;
        for (Area mapped : mappedAreas()) {
            if (from < mapped.offset()) {
                trapped.add(new Area(from, mapped.offset() - from));
            }
            from = mapped.offset() + mapped.size();
        }
        if (from < region.size()) {
            trapped.add(new Area(from, region.size() - from));
        }
        return trapped;
    }

    /**
     * Whether an access of the guest is to this BAR, which tells the VMM whose a trapped one is.
     *
     * @param guestPhysicalAddress in bytes
     * @return false also when the BAR is not placed
     */
    public boolean contains(long guestPhysicalAddress) {
        Placement now = placement;
        return now != null && Long.compareUnsigned(guestPhysicalAddress - now.address(), region.size()) < 0;
    }

    @Override
    protected void release() {
        placement = null;
    }

    @Override
    public String toString() {
        Placement now = placement;
        return region.name() + " of " + region.device()
                + (now == null ? ", not placed" : String.format(" at 0x%x", now.address()));
    }
}
