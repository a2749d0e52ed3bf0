package dev.kvmvfio.mock;

import dev.kvmvfio.mock.internal.pci.Bar;
import dev.kvmvfio.mock.internal.pci.Edu;
import dev.kvmvfio.mock.internal.pci.PciDescription;
import dev.kvmvfio.mock.internal.vfio.VfioPci;
import dev.kvmvfio.mock.model.BarRegisters;
import dev.kvmvfio.mock.model.KernelProfile;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The description of a PCI device of a {@link MockHost}. What cannot be is refused at once. Unless it is told
 * otherwise, a device is bound to {@code vfio-pci}, is alone in an IOMMU group with a free number, has a free
 * {@code vfioN} name, INTx, a function reset, and no BARs.
 *
 * <p><b>Thread-safety:</b> for one thread, while the host is described.
 */
public final class MockDevice {
    private static final Pattern ADDRESS = Pattern.compile("[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]");
    private static final Pattern CDEV = Pattern.compile("vfio(0|[1-9][0-9]{0,5})");
    private static final int BARS = 6;
    private static final int SMALLEST_BAR = 16;
    private static final int MOST_MSI = 32;
    private static final int MOST_MSIX = 2048;

    private final String address;
    private final KernelProfile profile;
    private final Map<Integer, Bar.Spec> bars = new TreeMap<>();
    private int vendor = 0x1b36;
    private int deviceId = 0x0005;
    private int subsystemVendor = 0x1af4;
    private int subsystemId = 0x1100;
    private int classCode = 0xff0000;
    private int revision;
    private @Nullable Integer group;
    private @Nullable Integer vfioIndex;
    private boolean driverGiven;
    private @Nullable String driver = VfioPci.NAME;
    private final List<String> disks = new ArrayList<>();
    private final List<String> networkLinks = new ArrayList<>();
    private boolean intx = true;
    private int msiVectors;
    private PciDescription.@Nullable Msix msix;
    private boolean express = true;
    private boolean behindBridge;
    private boolean reset = true;
    private boolean needsVm;

    MockDevice(String address, KernelProfile profile) {
        require(ADDRESS.matcher(address).matches(),
                "\"%s\" is no PCI address: write it like 0000:6a:01.0, in lower case", address);
        this.address = address;
        this.profile = profile;
    }

    private static void require(boolean condition, String message, Object... arguments) {
        if (!condition) {
            throw new IllegalArgumentException(String.format(message, arguments));
        }
    }

    private static void require16(int number, String what) {
        require((number & ~0xffff) == 0, "%s 0x%x has more than 16 bits", what, number);
    }

    /**
     * What the device is.
     *
     * @param vendorId the vendor's number, 16 bits
     * @param device the vendor's number for the device, 16 bits
     * @return this
     */
    public MockDevice id(int vendorId, int device) {
        require16(vendorId, "vendor");
        require16(device, "device");
        vendor = vendorId;
        deviceId = device;
        return this;
    }

    /**
     * What the board is.
     *
     * @param vendorId the vendor's number, 16 bits
     * @param device the vendor's number for the board, 16 bits
     * @return this
     */
    public MockDevice subsystem(int vendorId, int device) {
        require16(vendorId, "subsystem vendor");
        require16(device, "subsystem device");
        subsystemVendor = vendorId;
        subsystemId = device;
        return this;
    }

    /**
     * What the device is for.
     *
     * @param code base class, subclass and interface, 24 bits
     * @return this
     */
    public MockDevice classCode(int code) {
        require((code & ~0xffffff) == 0, "class 0x%x has more than 24 bits", code);
        classCode = code;
        return this;
    }

    /**
     * The device's revision.
     *
     * @param number 8 bits
     * @return this
     */
    public MockDevice revision(int number) {
        require((number & ~0xff) == 0, "revision 0x%x has more than 8 bits", number);
        revision = number;
        return this;
    }

    /**
     * The IOMMU group. Devices with the same number share it.
     *
     * @param number zero or more
     * @return this
     */
    public MockDevice group(int number) {
        require(number >= 0, "IOMMU group %d is negative", number);
        group = number;
        return this;
    }

    /**
     * The name of the device's own node in {@code /dev/vfio/devices}.
     *
     * @param name such as {@code vfio0}
     * @return this
     * @throws IllegalArgumentException when the kernel has no such nodes
     */
    public MockDevice cdev(String name) {
        require(CDEV.matcher(name).matches(), "\"%s\" is no name that the kernel gives: it is like vfio0", name);
        require(profile.hasCdev(), "Linux %s has no /dev/vfio/devices: leave out cdev(\"%s\"), or take a later one",
                profile.release(), name);
        vfioIndex = Integer.parseInt(name.substring(4));
        return this;
    }

    /**
     * The driver that has the device when the host starts.
     *
     * @param name such as {@code nvme}
     * @return this
     */
    public MockDevice driver(String name) {
        require(!name.isBlank() && !name.contains("/"), "\"%s\" is no driver's name", name);
        driverGiven = true;
        driver = name;
        return this;
    }

    /**
     * A device that no driver has when the host starts.
     *
     * @return this
     */
    public MockDevice withoutDriver() {
        driverGiven = true;
        driver = null;
        return this;
    }

    /**
     * A disk that the host sees as long as the device's own driver has it. What is mounted from it is told by
     * {@link MockHost#file}, in {@code /proc/self/mountinfo}.
     *
     * @param name such as {@code nvme0n1}
     * @return this
     */
    public MockDevice disk(String name) {
        disks.add(name);
        return this;
    }

    /**
     * A network link that is up as long as the device's own driver has it.
     *
     * @param name such as {@code eth0}
     * @return this
     */
    public MockDevice networkLink(String name) {
        networkLinks.add(name);
        return this;
    }

    /**
     * A memory BAR that a program can map, in 32 bits of address.
     *
     * @param index 0 to 5
     * @param size in bytes, a power of two, at least 16
     * @return this
     */
    public MockDevice bar(int index, long size) {
        return addBar(new Bar.Spec(index, size, false, false, null), SMALLEST_BAR);
    }

    /**
     * A memory BAR that a program can map, in 64 bits of address; it takes the next index too.
     *
     * @param index 0 to 4
     * @param size in bytes, a power of two, at least 16
     * @return this
     */
    public MockDevice bar64(int index, long size) {
        return addBar(new Bar.Spec(index, size, false, true, null), SMALLEST_BAR);
    }

    /**
     * A BAR in I/O space.
     *
     * @param index 0 to 5
     * @param size in bytes, a power of two, 4 to 256
     * @return this
     */
    public MockDevice ioBar(int index, int size) {
        require(size <= 256, "I/O BAR %d of %s has %d bytes: PCI allows 256", index, address, size);
        return addBar(new Bar.Spec(index, size, true, false, null), Integer.BYTES);
    }

    /**
     * A memory BAR with registers behind it, which a program reads and writes but cannot map.
     *
     * @param index 0 to 5
     * @param size in bytes, a power of two, at least 16
     * @param registers what they do
     * @return this
     */
    public MockDevice registers(int index, long size, BarRegisters registers) {
        require(registers != null, "BAR %d of %s has no registers", index, address);
        return addBar(new Bar.Spec(index, size, false, false, registers), SMALLEST_BAR);
    }

    private MockDevice addBar(Bar.Spec bar, int smallest) {
        int last = bar.wide() ? bar.index() + 1 : bar.index();
        require(bar.index() >= 0 && last < BARS, "%s has no BAR %d: a device has 0 to 5", address, last);
        require(bar.size() >= smallest && Long.bitCount(bar.size()) == 1,
                "BAR %d of %s has %d bytes: a BAR has a power of two, at least %d", bar.index(), address, bar.size(),
                smallest);
        require(bar.wide() || bar.size() <= 1L << 31, "BAR %d of %s has %d bytes: that needs 64 bits of address",
                bar.index(), address, bar.size());
        boolean free = bars.values().stream().noneMatch(other -> other.index() <= last
                && bar.index() <= (other.wide() ? other.index() + 1 : other.index()));
        require(free, "BAR %d of %s is described twice", bar.index(), address);
        bars.put(bar.index(), bar);
        return this;
    }

    /**
     * A device without an interrupt line.
     *
     * @return this
     */
    public MockDevice withoutIntx() {
        intx = false;
        return this;
    }

    /**
     * Message signalled interrupts.
     *
     * @param vectors how many, a power of two up to 32
     * @return this
     */
    public MockDevice msi(int vectors) {
        require(vectors > 0 && vectors <= MOST_MSI && Integer.bitCount(vectors) == 1,
                "%s has %d MSI vectors: a device has a power of two, up to 32", address, vectors);
        msiVectors = vectors;
        return this;
    }

    /**
     * Extended message signalled interrupts, with their table in the second half of the last memory BAR that was
     * described so far.
     *
     * @param vectors how many, 1 to 2048
     * @return this
     */
    public MockDevice msix(int vectors) {
        Bar.Spec last = bars.values().stream().filter(bar -> !bar.io()).reduce((_, later) -> later)
                .orElseThrow(() -> new IllegalArgumentException(
                        address + " needs a memory BAR for its MSI-X table: describe that first"));
        return msix(vectors, last.index(), (int) Math.min(last.size() / 2, 1 << 30));
    }

    /**
     * Extended message signalled interrupts.
     *
     * @param vectors how many, 1 to 2048
     * @param bar the memory BAR that holds the table, described before
     * @param offset of the table, a multiple of 8; the pending bits follow it
     * @return this
     */
    public MockDevice msix(int vectors, int bar, int offset) {
        require(vectors > 0 && vectors <= MOST_MSIX, "%s has %d MSI-X vectors: a device has 1 to 2048", address,
                vectors);
        Bar.Spec holder = bars.get(bar);
        if (holder == null || holder.io()) {
            throw new IllegalArgumentException(address + " has no memory BAR " + bar + " for its MSI-X table");
        }
        PciDescription.Msix table = new PciDescription.Msix(vectors, bar, offset);
        require(offset >= 0 && offset % Long.BYTES == 0 && table.end() <= holder.size(),
                "the MSI-X table of %s does not fit into BAR %d at 0x%x", address, bar, offset);
        msix = table;
        return this;
    }

    /**
     * A device of conventional PCI, not PCI Express: its configuration space has 256 bytes, and it reports no errors.
     *
     * @return this
     */
    public MockDevice withoutExpress() {
        express = false;
        return this;
    }

    /**
     * A device on a bus behind a bridge, which can be reset together with all devices there ("hot reset"). Otherwise it
     * sits on a root bus.
     *
     * @return this
     */
    public MockDevice behindBridge() {
        behindBridge = true;
        return this;
    }

    /**
     * A device that cannot be reset by itself.
     *
     * @return this
     */
    public MockDevice withoutReset() {
        reset = false;
        return this;
    }

    /**
     * A device whose driver must know the virtual machine when it is opened, as those of AP queues and of Intel's
     * virtual GPUs must: without it the open fails with EINVAL.
     *
     * @return this
     */
    public MockDevice needsVm() {
        needsVm = true;
        return this;
    }

    /**
     * QEMU's teaching device: registers that compute a factorial, raise interrupts and do DMA. Its BAR 0 has 1 MiB and
     * cannot be mapped, see {@link BarRegisters}. It is a device of conventional PCI with INTx, one MSI and no reset.
     *
     * @return this
     */
    public MockDevice edu() {
        return id(0x1234, 0x11e8).classCode(0x00ff00).revision(0x10).registers(0, 1 << 20, new Edu()).msi(1)
                .withoutExpress().withoutReset();
    }

    String address() {
        return address;
    }

    /** The number in {@code vfioN}, or null for any that is free. */
    @Nullable
    Integer vfioIndex() {
        return vfioIndex;
    }

    boolean isDriverGiven() {
        return driverGiven;
    }

    @Nullable
    String driver() {
        return driver;
    }

    boolean isBehindBridge() {
        return behindBridge;
    }

    VfioPci.Description describeForVfio() {
        return new VfioPci.Description(vfioIndex, needsVm);
    }

    PciDescription describe() {
        return new PciDescription(address,
                new PciDescription.Identity(vendor, deviceId, subsystemVendor, subsystemId, classCode, revision), group,
                new PciDescription.Driver(driver, List.copyOf(disks), List.copyOf(networkLinks)),
                List.copyOf(bars.values()), new PciDescription.Interrupts(intx, msiVectors, msix), express,
                behindBridge,
                reset);
    }
}
