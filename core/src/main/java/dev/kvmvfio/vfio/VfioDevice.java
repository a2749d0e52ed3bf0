package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_device_info;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.internal.Answer;
import dev.kvmvfio.internal.KernelAccess;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * An open VFIO device: its regions, its interrupts and its reset. One that a VM knows of is a {@link GuestDevice}; any
 * other is a driver's in user space.
 *
 * <p>Closing it switches its interrupts off, unmaps its regions, takes a cdev from KVM, and closes the file.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public sealed class VfioDevice extends Handle permits BoundDevice, GuestDevice {
    private static final Ioctl GET_INFO = new Ioctl("VFIO_DEVICE_GET_INFO", vfio_h.VFIO_DEVICE_GET_INFO());
    private static final Ioctl RESET = new Ioctl("VFIO_DEVICE_RESET", vfio_h.VFIO_DEVICE_RESET());
    /** Much more than any driver has: PCI's has nine regions and some of its own, and five kinds of interrupts. */
    private static final int MOST_INDEXES = 1 << 12;
    private static final int CONFIG_SIZE = 256;
    private static final int VENDOR_ID = 0;
    private static final int DEVICE_ID = 2;

    private final FileDescriptor fd;
    private volatile @Nullable Contents contents;

    private record Contents(int flags, List<Region> regions, List<Interrupt> interrupts) {
    }

    VfioDevice(FileDescriptor fd) {
        super(Rank.DEVICE);
        this.fd = fd;
    }

    /** What the device has does not change while it is open, so it is asked for once, when it is first wanted. */
    private Contents contents() {
        Contents known = contents;
        if (known == null) {
            known = read();
            contents = known;
        }
        return known;
    }

    private synchronized Contents read() {
        Contents known = contents;
        if (known != null) {
            return known;
        }
        MemorySegment info = vfio_device_info.allocate(Scratch.begin());
        vfio_device_info.argsz(info, (int) info.byteSize());
        fd.call(GET_INFO, info);
        Answer answer = new Answer(GET_INFO.name(), this);
        int flags = vfio_device_info.flags(info);
        int regions = answer.count("regions", vfio_device_info.num_regions(info), MOST_INDEXES);
        int interrupts = answer.count("kinds of interrupts", vfio_device_info.num_irqs(info), MOST_INDEXES);
        return new Contents(flags, present(regions, index -> Region.read(this, index)),
                present(interrupts, index -> Interrupt.read(this, index)));
    }

    private static <T> List<T> present(int count, IntFunction<@Nullable T> read) {
        return IntStream.range(0, count).mapToObj(read).flatMap(Stream::ofNullable).toList();
    }

    /**
     * {@code VFIO_DEVICE_GET_INFO}.
     *
     * @return {@code VFIO_DEVICE_FLAGS_} bits: what kind of device it is, and whether it can be reset
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when it answers what no device has
     */
    public int flags() {
        return contents().flags();
    }

    /**
     * Whether {@link #reset} works.
     *
     * @return what {@code VFIO_DEVICE_FLAGS_RESET} says
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when it answers what no device has
     */
    public boolean canReset() {
        return (flags() & vfio_h.VFIO_DEVICE_FLAGS_RESET()) != 0;
    }

    /**
     * The regions that the device has ({@code VFIO_DEVICE_GET_REGION_INFO}).
     *
     * @return in the order of their indexes; an index that the device does not have is left out
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when it answers what no device has
     */
    public List<Region> regions() {
        return contents().regions();
    }

    /**
     * One region.
     *
     * @param index {@code VFIO_PCI_BAR0_REGION_INDEX} and so on; {@link Region#CONFIG} and {@link Region#BAR0} are the
     *        usual ones
     * @return the region
     * @throws NoSuchElementException when the device does not have it
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when it answers what no device has
     */
    public Region region(int index) {
        return regions().stream().filter(region -> region.index() == index).findFirst()
                .orElseThrow(
                        () -> new NoSuchElementException(this + " has no region " + index + ", only " + regions()));
    }

    /**
     * The interrupts that the device has ({@code VFIO_DEVICE_GET_IRQ_INFO}).
     *
     * @return in the order of their indexes; an index that the device does not have is left out
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when it answers what no device has
     */
    public List<Interrupt> interrupts() {
        return contents().interrupts();
    }

    /**
     * One kind of interrupt.
     *
     * @param index {@link Interrupt#INTX}, {@link Interrupt#MSI}, {@link Interrupt#MSIX} and so on
     * @return the interrupt
     * @throws NoSuchElementException when the device does not have it
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when it answers what no device has
     */
    public Interrupt interrupt(int index) {
        return interrupts().stream().filter(interrupt -> interrupt.index() == index).findFirst().orElseThrow(
                () -> new NoSuchElementException(this + " has no interrupt " + index + ", only " + interrupts()));
    }

    /**
     * The PCI device's configuration space, decoded.
     *
     * @return what it says now
     * @throws NoSuchElementException when the device has none, because it is not of PCI
     * @throws KernelException when it cannot be read
     * @throws AnswerException when it is smaller than PCI's
     */
    public ConfigSpace configSpace() {
        return ConfigSpace.read(config());
    }

    /**
     * Where the PCI device has its MSI-X table.
     *
     * @return the place, or empty when the device has no MSI-X
     * @throws NoSuchElementException when the device has no configuration space, because it is not of PCI
     * @throws KernelException when the configuration space cannot be read
     * @throws AnswerException when it is smaller than PCI's, or the table is outside of its BAR
     */
    public Optional<MsixTable> msixTable() {
        Optional<MsixTable> table = MsixTable.read(config());
        if (table.isPresent() && !isInsideItsBar(table.get())) {
            throw new AnswerException("pread", config(), table.get() + ", which is outside of its BAR");
        }
        return table;
    }

    /** A BAR of no size is one that the host has given no addresses to. */
    private boolean isInsideItsBar(MsixTable table) {
        return table.region() < Region.ROM && regions().stream().filter(region -> region.index() == table.region())
                .allMatch(bar -> bar.size() == 0 || table.offset() <= bar.size() - table.size());
    }

    /** Every PCI device has this much. */
    private Region config() {
        Region config = region(Region.CONFIG);
        if (config.size() < CONFIG_SIZE) {
            throw new AnswerException(Region.GET_REGION_INFO.name(), this,
                    config.size() + " bytes of configuration space, where PCI has " + CONFIG_SIZE);
        }
        return config;
    }

    /**
     * Who made the PCI device, by its configuration space.
     *
     * @return 0 to 0xffff
     * @throws NoSuchElementException when the device has no configuration space, because it is not of PCI
     * @throws KernelException when the configuration space cannot be read
     * @throws AnswerException when it is smaller than PCI's
     */
    public int vendorId() {
        return Short.toUnsignedInt(config().readShort(VENDOR_ID));
    }

    /**
     * What the PCI device is, by its configuration space.
     *
     * @return the vendor's number, 0 to 0xffff
     * @throws NoSuchElementException when the device has no configuration space, because it is not of PCI
     * @throws KernelException when the configuration space cannot be read
     * @throws AnswerException when it is smaller than PCI's
     */
    public int deviceId() {
        return Short.toUnsignedInt(config().readShort(DEVICE_ID));
    }

    /**
     * {@code VFIO_DEVICE_RESET}. Interrupts that are enabled stay so, and the kernel restores the configuration space; the
     * device's own registers are for its driver to set anew.
     *
     * @throws KernelException when the kernel refuses; {@code EINVAL} when the device cannot be reset by itself
     */
    public void reset() {
        int result = fd.ioctl(RESET, 0);
        if (result < 0) {
            throw new KernelException(RESET.name(), fd, "", result, switch (Errno.of(-result)) {
                case EINVAL -> "The device has no reset of its own";
                case EAGAIN -> "The device is busy: try again";
                default -> "";
            });
        }
    }

    /**
     * The open file, for an ioctl that this library does not wrap.
     *
     * @return owned by this object
     */
    public FileDescriptor fd() {
        return fd;
    }

    /**
     * Switches the device's interrupts off and closes what uses them and its regions, as the first step of giving it
     * back. The device stays open, and its interrupts can be enabled again.
     */
    @Override
    protected boolean quiesce() {
        if (!Interrupt.disableAllOf(this)) {
            return false;
        }
        List<Handle> users = Lifecycle.children(this).reversed().stream()
                .filter(child -> !(child instanceof Attachment)).toList();
        return Lifecycle.closeAll(users);
    }

    /** The kernel keeps the device until the last call on its file has returned, and its group with it. */
    @Override
    protected boolean settle() {
        if (!unregister()) {
            return false;
        }
        fd.close();
        return KernelAccess.get().isGivenBack(fd);
    }

    /** A VM that knows of the device may have to forget it while the file is open; false when it has not yet. */
    boolean unregister() {
        return true;
    }

    @Override
    public String toString() {
        return fd.toString();
    }
}
