package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.EACCES;
import static dev.kvmvfio.kernel.Errno.EISDIR;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.HugePages;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** The files of the host: the nodes of {@code /dev}, and what sysfs and procfs tell of devices and of the process. */
final class HostFiles {
    private static final int MISC_MAJOR = 10;
    private static final int KVM_MINOR = 232;
    private static final int CONTAINER_MINOR = 196;
    private static final int IOMMU_MINOR = 126;
    private static final int GROUP_MAJOR = 235;
    private static final int CDEV_MAJOR = 511;
    private static final int DISK_MAJOR = 259;
    private static final int ACCESS_MODE = system_h.O_WRONLY() | system_h.O_RDWR();

    private final Machine machine;
    private final Map<String, Errno> permissions;
    private final Set<String> missingNodes;
    private final Map<String, String> described;
    private FileTree tree;
    private int diskMinor;

    HostFiles(Machine machine, MockHost host) {
        this.machine = machine;
        this.permissions = host.permissions();
        this.missingNodes = host.missingNodes();
        this.described = host.files();
        missingNodes.forEach(path -> require(path, complete()));
        tree = visible();
        permissions.keySet().forEach(path -> require(path, tree));
    }

    private static void require(String path, FileTree files) {
        if (!files.exists(path)) {
            throw new IllegalArgumentException("the host has no " + path);
        }
    }

    FileTree tree() {
        return tree;
    }

    private FileTree visible() {
        FileTree files = complete();
        missingNodes.stream().filter(files::exists).forEach(files::remove);
        return files;
    }

    private FileTree.Found permitted(String path) {
        FileTree.Found found = tree.find(path, true);
        Errno refusal = permissions.get(found.path());
        if (refusal != null) {
            throw Refusal.of(refusal);
        }
        return found;
    }

    int access(String path) {
        Refusal.when(permitted(path).node() instanceof FileTree.Text text && text.store() == null, EACCES);
        return 0;
    }

    OpenFile open(String path, int flags) {
        FileTree.Found found = permitted(path);
        boolean writes = (flags & ACCESS_MODE) != 0;
        return switch (found.node()) {
            case FileTree.DeviceNode node -> node.opener().get();
            case FileTree.Text text -> {
                Refusal.when(writes && text.store() == null, EACCES);
                yield new TextFile(found.path(), text);
            }
            case FileTree.Folder _ -> {
                Refusal.when(writes, EISDIR);
                yield TextFile.folder(found.path());
            }
            case FileTree.Link _ -> throw new AssertionError("links are followed");
        };
    }

    private FileTree complete() {
        diskMinor = 0;
        FileTree files = new FileTree();
        addNodes(files);
        addProcess(files);
        addModules(files);
        addHugePages(files);
        files.addFolder("/sys/kernel/iommu_groups");
        files.addFolder("/sys/bus/pci/devices");
        machine.bus().functions().forEach(function -> addDevice(files, function));
        machine.bus().groups().forEach(group -> addGroup(files, group));
        drivers().forEach(driver -> addDriver(files, driver));
        files.add("/sys/bus/pci/drivers_probe", store(address -> machine.bus().probe(address)));
        described.forEach((path, content) -> files.add(path, text(() -> content)));
        return files;
    }

    private static FileTree.Text text(Supplier<String> content) {
        return new FileTree.Text(() -> (content.get() + "\n").getBytes(StandardCharsets.UTF_8), null);
    }

    private static FileTree.Text text(String format, Object... arguments) {
        String content = String.format(format, arguments);
        return text(() -> content);
    }

    /** A file that is only written, and changes which nodes there are. */
    private FileTree.Text store(Consumer<String> action) {
        return new FileTree.Text(() -> new byte[0], content -> {
            action.accept(content);
            tree = visible();
        });
    }

    private void addNodes(FileTree files) {
        files.add("/dev/kvm", new FileTree.DeviceNode(MISC_MAJOR, KVM_MINOR, () -> new KvmFile(machine)));
        files.add("/dev/vfio/vfio",
                new FileTree.DeviceNode(MISC_MAJOR, CONTAINER_MINOR, () -> new ContainerFile(machine)));
        if (machine.profile().hasCdev()) {
            files.add("/dev/iommu", new FileTree.DeviceNode(MISC_MAJOR, IOMMU_MINOR, () -> new IommufdFile(machine)));
            files.addFolder("/dev/vfio/devices");
        }
        int minor = 0;
        for (VfioGroup group : machine.bus().vfioGroups()) {
            files.add(group.path(), new FileTree.DeviceNode(GROUP_MAJOR, minor++, group::open));
        }
        for (VfioDevice device : machine.bus().vfioDevices()) {
            if (machine.profile().hasCdev()) {
                files.add("/dev/vfio/devices/" + device.name(), new FileTree.DeviceNode(CDEV_MAJOR, device.index(),
                        () -> DeviceFile.ofNode(device)));
            }
        }
    }

    private void addProcess(FileTree files) {
        files.add("/proc/self/status", text(() -> machine.process().status().stripTrailing()));
        files.add("/proc/self/limits", text(() -> machine.process().limits().stripTrailing()));
        files.add("/proc/interrupts", text(this::interrupts));
        files.add("/proc/cpuinfo", text("processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme vmx ssse3"));
        files.add("/proc/cmdline", text("BOOT_IMAGE=/vmlinuz%s", machine.iommu().present() ? " intel_iommu=on" : ""));
        files.add("/proc/sys/kernel/osrelease", text("%s", machine.profile().release()));
    }

    /** One line of the timer is enough: its controller's name says whether interrupts are remapped. */
    private String interrupts() {
        String controller = machine.iommu().present() && machine.iommu().isolatesInterrupts()
                ? "IR-IO-APIC"
                : "IO-APIC";
        return "           CPU0       \n  0:        120  " + controller + "   2-edge      timer";
    }

    private void addModules(FileTree files) {
        String unsafe = machine.iommu().unsafeInterrupts() ? "Y" : "N";
        files.add("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", text(unsafe));
        files.add("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit", text("65535"));
        files.addFolder("/sys/module/vfio_pci");
        files.addFolder("/sys/module/kvm");
        if (machine.profile().hasCdev()) {
            files.add("/sys/module/iommufd/parameters/allow_unsafe_interrupts", text(unsafe));
        }
        files.addFolder("/sys/class/iommu");
        if (machine.iommu().present()) {
            files.addFolder("/sys/class/iommu/dmar0");
        }
    }

    private void addHugePages(FileTree files) {
        for (HugePages size : HugePages.values()) {
            String folder = "/sys/kernel/mm/hugepages/hugepages-" + (size.bytes() >> 10) + "kB/";
            files.add(folder + "free_hugepages", text(() -> "" + machine.hugePagePool().free(size)));
        }
    }

    private static String folder(PciFunction function) {
        return "/sys/devices/pci" + function.busName() + "/" + function.address();
    }

    private void addDevice(FileTree files, PciFunction function) {
        MockDevice description = function.description();
        String folder = folder(function) + "/";
        files.add("/sys/bus/pci/devices/" + function.address(),
                new FileTree.Link("../../.." + folder(function).substring(4)));
        files.add(folder + "vendor", text("0x%04x", description.vendor()));
        files.add(folder + "device", text("0x%04x", description.deviceId()));
        files.add(folder + "subsystem_vendor", text("0x%04x", description.subsystemVendor()));
        files.add(folder + "subsystem_device", text("0x%04x", description.subsystemId()));
        files.add(folder + "class", text("0x%06x", description.classCode()));
        files.add(folder + "revision", text("0x%02x", description.revision()));
        files.add(folder + "numa_node", text("-1"));
        files.add(folder + "resource", text(() -> resources(function)));
        files.add(folder + "config", new FileTree.Text(() -> function.config().snapshot(), null));
        files.add(folder + "subsystem", new FileTree.Link("../../../bus/pci"));
        files.add(folder + "driver_override", new FileTree.Text(
                () -> (function.driverOverride() == null ? "(null)\n" : function.driverOverride() + "\n")
                        .getBytes(StandardCharsets.US_ASCII),
                name -> function.setDriverOverride(name.isEmpty() ? null : name)));
        if (description.hasReset()) {
            files.add(folder + "reset_method", text("flr"));
        }
        if (function.driver() != null) {
            files.add(folder + "driver", new FileTree.Link("../../../bus/pci/drivers/" + function.driver()));
        }
        if (function.group() != null) {
            files.add(folder + "iommu_group",
                    new FileTree.Link("../../../kernel/iommu_groups/" + function.group().number()));
        }
        if (function.driver() != null && function.driver().equals(description.driver())) {
            description.disks().forEach(disk -> addDisk(files, folder, disk));
            description.networkLinks().forEach(link -> addNetworkLink(files, folder, link));
        }
        if (function.vfio() != null) {
            addVfio(files, folder + "vfio-dev/" + function.vfio().name(), function.vfio());
        }
    }

    private void addDisk(FileTree files, String folder, String name) {
        int minor = diskMinor++;
        files.add(folder + "block/" + name + "/dev", text("%d:%d", DISK_MAJOR, minor));
        files.addFolder(folder + "block/" + name + "/holders");
        files.add("/sys/class/block/" + name,
                new FileTree.Link("../../" + folder.substring("/sys/".length()) + "block/" + name));
        files.add("/dev/" + name, new FileTree.DeviceNode(DISK_MAJOR, minor, () -> {
            throw new NotModelledException("opening the disk " + name);
        }));
    }

    private static void addNetworkLink(FileTree files, String folder, String name) {
        files.add(folder + "net/" + name + "/operstate", text("up"));
        files.add(folder + "net/" + name + "/device", new FileTree.Link("../.."));
        files.add("/sys/class/net/" + name,
                new FileTree.Link("../../" + folder.substring("/sys/".length()) + "net/" + name));
    }

    /** Older kernels have the name too, but no device number that belongs to it. */
    private void addVfio(FileTree files, String folder, VfioDevice device) {
        files.addFolder(folder);
        if (machine.profile().hasCdev()) {
            files.add(folder + "/dev", text("%d:%d", CDEV_MAJOR, device.index()));
        }
    }

    private static String resources(PciFunction function) {
        StringBuilder lines = new StringBuilder();
        long address = 0xc000_0000L;
        for (int index = 0; index < 13; index++) {
            Bar bar = function.bar(index);
            long flags = bar == null ? 0 : bar.spec().io() ? 0x40101 : bar.spec().wide() ? 0x140204 : 0x40200;
            long start = bar == null ? 0 : address;
            long last = bar == null ? 0 : address + bar.size() - 1;
            lines.append(String.format("0x%016x 0x%016x 0x%016x%n".replace("%n", "\n"), start, last, flags));
            address += bar == null ? 0 : PhysicalMemory.wholePages(bar.size());
        }
        return lines.toString().stripTrailing();
    }

    private void addGroup(FileTree files, IommuGroup group) {
        String folder = "/sys/kernel/iommu_groups/" + group.number() + "/";
        files.add(folder + "type", text("DMA-FQ"));
        files.add(folder + "reserved_regions", text(this::reservedRegions));
        files.addFolder(folder + "devices");
        for (PciFunction function : group.functions()) {
            files.add(folder + "devices/" + function.address(),
                    new FileTree.Link("../../../../" + folder(function).substring("/sys/".length())));
        }
    }

    private String reservedRegions() {
        StringBuilder lines = new StringBuilder();
        for (Iommu.Range range : machine.iommu().reserved()) {
            String kind = range.equals(Iommu.INTERRUPT_WINDOW) ? "msi" : "reserved";
            lines.append(String.format("0x%016x 0x%016x %s\n", range.start(), range.last(), kind));
        }
        return lines.toString().stripTrailing();
    }

    private Set<String> drivers() {
        Set<String> drivers = new TreeSet<>(Set.of(MockHost.VFIO_DRIVER));
        for (PciFunction function : machine.bus().functions()) {
            if (function.description().driver() != null) {
                drivers.add(function.description().driver());
            }
        }
        return drivers;
    }

    private void addDriver(FileTree files, String driver) {
        String folder = "/sys/bus/pci/drivers/" + driver + "/";
        files.add(folder + "bind", store(address -> machine.bus().bindBySysfs(address, driver)));
        files.add(folder + "unbind", store(address -> machine.bus().unbindBySysfs(address, driver)));
        for (PciFunction function : machine.bus().functions()) {
            if (driver.equals(function.driver())) {
                files.add(folder + function.address(),
                        new FileTree.Link("../../../../" + folder(function).substring("/sys/".length())));
            }
        }
    }
}
