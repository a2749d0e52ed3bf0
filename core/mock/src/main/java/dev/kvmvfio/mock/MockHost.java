package dev.kvmvfio.mock;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.HugePages;
import dev.kvmvfio.mock.internal.iommufd.IommufdFiles;
import dev.kvmvfio.mock.internal.kvm.KvmFiles;
import dev.kvmvfio.mock.internal.pci.Iommu;
import dev.kvmvfio.mock.internal.pci.PciBus;
import dev.kvmvfio.mock.internal.pci.PciFiles;
import dev.kvmvfio.mock.internal.system.FileSource;
import dev.kvmvfio.mock.internal.system.FileStatus;
import dev.kvmvfio.mock.internal.system.FileTree;
import dev.kvmvfio.mock.internal.system.HostFiles;
import dev.kvmvfio.mock.internal.system.HugePagePool;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.ProcFiles;
import dev.kvmvfio.mock.internal.system.UserProcess;
import dev.kvmvfio.mock.internal.vfio.VfioFiles;
import dev.kvmvfio.mock.internal.vfio.VfioPci;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.LinuxCapability;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * The description of a host, from which {@link #start()} makes a {@link MockKernel}. What cannot be is refused in words
 * when it is described. Unless it is told otherwise, the host has an IOMMU with 39 bits of address and interrupt
 * remapping, and the program runs as root.
 *
 * <p><b>Thread-safety:</b> for one thread.
 */
public final class MockHost {
    private static final int FEWEST_BITS = 32;
    private static final int MOST_BITS = 57;
    private static final int USUAL_BITS = 39;
    private static final long ROOT_MEMLOCK = 8 << 20;
    private static final int FIRST_USER = 1000;

    private final KernelProfile profile;
    private final Map<String, MockDevice> devices = new LinkedHashMap<>();
    private final List<Iommu.Range> reserved = new ArrayList<>(List.of(Iommu.INTERRUPT_WINDOW));
    private final Set<LinuxCapability> missing = EnumSet.noneOf(LinuxCapability.class);
    private final Map<String, FileStatus> owners = new LinkedHashMap<>();
    private final Map<String, Errno> permissions = new LinkedHashMap<>();
    private final Set<String> missingNodes = new LinkedHashSet<>();
    private final Map<HugePages, Integer> hugePages = new EnumMap<>(HugePages.class);
    private final Map<String, FileTree.Text> files = new LinkedHashMap<>();
    private int user;
    private boolean hasIommu = true;
    private int addressBits = USUAL_BITS;
    private boolean isolatesInterrupts = true;
    private boolean unsafeInterrupts;
    private long memlock = ROOT_MEMLOCK;

    MockHost(KernelProfile profile) {
        this.profile = profile;
    }

    /**
     * Adds a PCI device.
     *
     * @param address where it is, such as {@code 0000:6a:01.0}
     * @param description tells what it is
     * @return this
     * @throws IllegalArgumentException for what cannot be, such as two devices at one address
     */
    public MockHost device(String address, Consumer<MockDevice> description) {
        if (devices.containsKey(address)) {
            throw new IllegalArgumentException("there are two devices at " + address);
        }
        MockDevice device = new MockDevice(address, profile);
        description.accept(device);
        devices.put(address, device);
        return this;
    }

    /**
     * A host whose IOMMU is missing or switched off: no device has a group, and {@code vfio-pci} takes none.
     *
     * @return this
     */
    public MockHost withoutIommu() {
        hasIommu = false;
        return this;
    }

    /**
     * How wide the addresses are that the IOMMU translates.
     *
     * @param bits 32 to 57; common are 39 and 48
     * @return this
     */
    public MockHost addressBits(int bits) {
        if (bits < FEWEST_BITS || bits > MOST_BITS) {
            throw new IllegalArgumentException("an IOMMU with " + bits + " bits of address: they have 32 to 57");
        }
        addressBits = bits;
        return this;
    }

    /**
     * Addresses that no program may map, besides the interrupt window of x86-64.
     *
     * @param start the first one
     * @param last the last one, which belongs to the range
     * @return this
     */
    public MockHost reserved(long start, long last) {
        Iommu.Range range = new Iommu.Range(start, last);
        if (start < 0 || start >= last) {
            throw new IllegalArgumentException(String.format("0x%x to 0x%x is no range of addresses", start, last));
        }
        if (reserved.stream().anyMatch(other -> other.overlaps(start, last))) {
            throw new IllegalArgumentException(String.format("0x%x to 0x%x is reserved twice", start, last));
        }
        reserved.add(range);
        return this;
    }

    /**
     * A host without interrupt remapping, where VFIO takes devices only when the administrator allows it.
     *
     * @return this
     */
    public MockHost withoutInterruptRemapping() {
        isolatesInterrupts = false;
        return this;
    }

    /**
     * The administrator set {@code allow_unsafe_interrupts} of the modules vfio_iommu_type1 and iommufd.
     *
     * @return this
     */
    public MockHost allowUnsafeInterrupts() {
        unsafeInterrupts = true;
        return this;
    }

    /**
     * The limit for pinned memory, {@code RLIMIT_MEMLOCK}. The program loses the right to go beyond it.
     *
     * @param bytes zero or more
     * @return this
     */
    public MockHost memlock(long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("a limit of " + bytes + " bytes");
        }
        memlock = bytes;
        return without(LinuxCapability.IPC_LOCK);
    }

    /**
     * The huge pages that the administrator reserved; without this there are none.
     *
     * @param size of one page
     * @param count how many
     * @return this
     */
    public MockHost hugePages(HugePages size, int count) {
        if (count < 0) {
            throw new IllegalArgumentException(count + " huge pages");
        }
        hugePages.put(size, count);
        return this;
    }

    /**
     * Takes a right from the program.
     *
     * @param capability the right
     * @return this
     */
    public MockHost without(LinuxCapability capability) {
        missing.add(capability);
        return this;
    }

    /**
     * The program has no special rights, as that of an ordinary user: user 1000, in the group 1000 alone.
     *
     * @return this
     */
    public MockHost asUser() {
        user = FIRST_USER;
        missing.addAll(EnumSet.allOf(LinuxCapability.class));
        return this;
    }

    /**
     * Says whose a node of {@code /dev} is, and who may use it. It keeps an ordinary user out when it says so; without
     * it, {@code stat} tells root and what the kernel's driver asks for, and nobody is kept out.
     *
     * @param path of the node, without links on the way
     * @param owner the number of its user
     * @param group the number of its group
     * @param permissions such as {@code 0660}
     * @return this
     */
    public MockHost owner(String path, int owner, int group, int permissions) {
        owners.put(path, new FileStatus(owner, group, permissions));
        return this;
    }

    /**
     * Makes opening a file fail.
     *
     * @param path of the file, without links on the way
     * @param errno how it fails, {@code EACCES} for a missing permission
     * @return this
     */
    public MockHost permission(String path, Errno errno) {
        permissions.put(path, errno);
        return this;
    }

    /**
     * Takes a node of {@code /dev} away, as a container or a kernel without that part does.
     *
     * @param path such as {@code /dev/iommu}
     * @return this
     */
    public MockHost withoutNode(String path) {
        missingNodes.add(path);
        return this;
    }

    /**
     * Adds a text file that can be read, such as {@code /proc/swaps} or {@code /usr/share/misc/pci.ids}. Without it the
     * host has few files besides those that KVM, VFIO and iommufd show.
     *
     * @param path an absolute path
     * @param text its content
     * @return this
     */
    public MockHost file(String path, String text) {
        return file(path, FileTree.text(text));
    }

    /**
     * Adds a file of bytes that can be read, such as {@code /proc/config.gz}.
     *
     * @param path an absolute path
     * @param content what is in it
     * @return this
     */
    public MockHost file(String path, byte[] content) {
        byte[] copy = content.clone();
        return file(path, new FileTree.Text(() -> copy, null));
    }

    private MockHost file(String path, FileTree.Text content) {
        if (!path.startsWith("/") || path.endsWith("/")) {
            throw new IllegalArgumentException("\"" + path + "\" is no absolute path of a file");
        }
        files.put(path, content);
        return this;
    }

    /**
     * Starts the host.
     *
     * @return its kernel, to be closed by the caller
     * @throws IllegalArgumentException when parts of the description contradict each other
     */
    public MockKernel start() {
        checkDrivers();
        checkNames();
        checkBuses();
        Machine machine = new Machine(profile, new UserProcess(user, missing, memlock), new HugePagePool(hugePages));
        Iommu iommu = new Iommu(hasIommu, (1L << addressBits) - 1, List.copyOf(reserved), isolatesInterrupts,
                unsafeInterrupts);
        PciBus bus = new PciBus(machine, iommu, devices.values().stream().map(MockDevice::describe).toList());
        VfioPci vfio = new VfioPci(machine, bus, devices.values().stream()
                .collect(Collectors.toMap(MockDevice::address, MockDevice::describeForVfio)));
        bus.register(VfioPci.NAME, vfio);
        bindDrivers(bus);
        List<FileSource> sources = List.of(new ProcFiles(machine), new PciFiles(bus, iommu), new KvmFiles(machine),
                new IommufdFiles(machine, iommu), new VfioFiles(machine, iommu, vfio), this::addFiles);
        return new MockKernel(machine, bus, new HostFiles(sources, owners, refusals(), missingNodes));
    }

    /** Root is kept from no file. */
    private Map<String, Errno> refusals() {
        Map<String, Errno> refusals = new HashMap<>(permissions);
        owners.forEach((path, status) -> {
            if (user != 0 && !status.permits(user)) {
                refusals.putIfAbsent(path, Errno.EACCES);
            }
        });
        return refusals;
    }

    private void bindDrivers(PciBus bus) {
        // Those with a name of their own first, so that no other takes it.
        devices.values().stream().sorted(Comparator.comparing(device -> device.vfioIndex() == null))
                .filter(device -> device.driver() != null && (hasIommu || !device.driver().equals(VfioPci.NAME)))
                .forEach(device -> bus.bind(bus.function(device.address()), device.driver()));
    }

    private void addFiles(FileTree tree) {
        files.forEach((path, content) -> tree.add(path, content));
    }

    private void checkDrivers() {
        for (MockDevice device : devices.values()) {
            if (!hasIommu && device.isDriverGiven() && VfioPci.NAME.equals(device.driver())) {
                throw new IllegalArgumentException(
                        device.address() + " is bound to vfio-pci, which takes no device without an IOMMU");
            }
            if (device.vfioIndex() != null && !VfioPci.NAME.equals(device.driver())) {
                throw new IllegalArgumentException(
                        device.address() + " has a node of vfio-pci, but that driver has it not");
            }
        }
    }

    private void checkNames() {
        Set<Integer> names = new HashSet<>();
        for (MockDevice device : devices.values()) {
            if (device.vfioIndex() != null && !names.add(device.vfioIndex())) {
                throw new IllegalArgumentException("there are two devices named vfio" + device.vfioIndex());
            }
        }
    }

    private void checkBuses() {
        Map<String, Boolean> bridges = new HashMap<>();
        for (MockDevice device : devices.values()) {
            String bus = device.address().substring(0, device.address().lastIndexOf(':'));
            Boolean other = bridges.putIfAbsent(bus, device.isBehindBridge());
            if (other != null && other != device.isBehindBridge()) {
                throw new IllegalArgumentException(
                        "bus " + bus + " is behind a bridge for one device, and for another not");
            }
        }
    }
}
