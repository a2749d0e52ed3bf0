package dev.kvmvfio.mock.internal.pci;

import dev.kvmvfio.mock.internal.system.FileSource;
import dev.kvmvfio.mock.internal.system.FileTree;
import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.model.NotModelledException;
import java.nio.charset.StandardCharsets;

/** What sysfs and procfs tell of the PCI devices, of their groups and of the IOMMU. */
public final class PciFiles implements FileSource {
    private static final int DISK_MAJOR = 259;
    private static final int RESOURCES = 13;

    private final PciBus bus;
    private final Iommu iommu;
    private int diskMinor;

    public PciFiles(PciBus bus, Iommu iommu) {
        this.bus = bus;
        this.iommu = iommu;
    }

    @Override
    public void addTo(FileTree files) {
        diskMinor = 0;
        addIommu(files);
        files.addFolder("/sys/kernel/iommu_groups");
        files.addFolder("/sys/bus/pci/devices");
        bus.functions().forEach(function -> addDevice(files, function));
        bus.groups().forEach(group -> addGroup(files, group));
        bus.drivers().forEach(driver -> addDriver(files, driver));
        files.add("/sys/bus/pci/drivers_probe", FileTree.store(bus::probe));
    }

    private void addIommu(FileTree files) {
        files.add("/proc/interrupts", FileTree.text(interrupts()));
        files.add("/proc/cmdline", FileTree.text("BOOT_IMAGE=/vmlinuz" + (iommu.present() ? " intel_iommu=on" : "")));
        files.addFolder("/sys/class/iommu");
        if (iommu.present()) {
            files.addFolder("/sys/class/iommu/dmar0");
        }
    }

    /** One line of the timer is enough: its controller's name says whether interrupts are remapped. */
    private String interrupts() {
        String controller = iommu.present() && iommu.isolatesInterrupts() ? "IR-IO-APIC" : "IO-APIC";
        return "           CPU0       \n  0:        120  " + controller + "   2-edge      timer";
    }

    private void addDevice(FileTree files, PciFunction function) {
        PciDescription.Identity identity = function.description().identity();
        String folder = function.folder() + "/";
        files.add("/sys/bus/pci/devices/" + function.address(), link("../../../", function));
        files.add(folder + "vendor", hex(4, identity.vendor()));
        files.add(folder + "device", hex(4, identity.device()));
        files.add(folder + "subsystem_vendor", hex(4, identity.subsystemVendor()));
        files.add(folder + "subsystem_device", hex(4, identity.subsystem()));
        files.add(folder + "class", hex(6, identity.classCode()));
        files.add(folder + "revision", hex(2, identity.revision()));
        files.add(folder + "numa_node", FileTree.text("-1"));
        files.add(folder + "resource", FileTree.text(() -> resources(function)));
        files.add(folder + "config", new FileTree.Text(() -> function.config().snapshot(), null));
        files.add(folder + "subsystem", new FileTree.Link("../../../bus/pci"));
        files.add(folder + "driver_override", new FileTree.Text(
                () -> (function.driverOverride() == null ? "(null)\n" : function.driverOverride() + "\n")
                        .getBytes(StandardCharsets.US_ASCII),
                name -> function.setDriverOverride(name.isEmpty() ? null : name)));
        if (function.description().reset()) {
            files.add(folder + "reset_method", FileTree.text("flr"));
        }
        if (function.group() != null) {
            files.add(folder + "iommu_group",
                    new FileTree.Link("../../../kernel/iommu_groups/" + function.group().number()));
        }
        if (function.driver() != null) {
            files.add(folder + "driver", new FileTree.Link("../../../bus/pci/drivers/" + function.driver()));
            addUse(files, folder, function);
        }
    }

    private static FileTree.Text hex(int digits, int number) {
        return FileTree.text(String.format("0x%0" + digits + "x", number));
    }

    /** A link to a device's folder, from one that leads back to {@code /sys}. */
    private static FileTree.Link link(String back, PciFunction function) {
        return new FileTree.Link(back + function.folder().substring("/sys/".length()));
    }

    /** What the host sees of a device that its own driver has. */
    private void addUse(FileTree files, String folder, PciFunction function) {
        PciDescription.Driver own = function.description().driver();
        if (function.driver().equals(own.name())) {
            own.disks().forEach(disk -> addDisk(files, folder, disk));
            own.networkLinks().forEach(link -> addNetworkLink(files, folder, link));
        }
    }

    private void addDisk(FileTree files, String folder, String name) {
        int minor = diskMinor++;
        files.add(folder + "block/" + name + "/dev", FileTree.text(DISK_MAJOR + ":" + minor));
        files.addFolder(folder + "block/" + name + "/holders");
        files.add("/sys/class/block/" + name,
                new FileTree.Link("../../" + folder.substring("/sys/".length()) + "block/" + name));
        files.add("/dev/" + name, new FileTree.DeviceNode(DISK_MAJOR, minor, () -> {
            throw new NotModelledException("opening the disk " + name);
        }));
    }

    private static void addNetworkLink(FileTree files, String folder, String name) {
        files.add(folder + "net/" + name + "/operstate", FileTree.text("up"));
        files.add(folder + "net/" + name + "/device", new FileTree.Link("../.."));
        files.add("/sys/class/net/" + name,
                new FileTree.Link("../../" + folder.substring("/sys/".length()) + "net/" + name));
    }

    private static String resources(PciFunction function) {
        StringBuilder lines = new StringBuilder();
        long address = 0xc000_0000L;
        for (int index = 0; index < RESOURCES; index++) {
            Bar bar = function.bar(index);
            long flags = bar == null ? 0 : bar.spec().io() ? 0x40101 : bar.spec().wide() ? 0x140204 : 0x40200;
            long start = bar == null ? 0 : address;
            long last = bar == null ? 0 : address + bar.size() - 1;
            lines.append(String.format("0x%016x 0x%016x 0x%016x\n", start, last, flags));
            address += bar == null ? 0 : PhysicalMemory.wholePages(bar.size());
        }
        return lines.toString().stripTrailing();
    }

    private void addGroup(FileTree files, IsolationGroup group) {
        String folder = "/sys/kernel/iommu_groups/" + group.number() + "/";
        files.add(folder + "type", FileTree.text("DMA-FQ"));
        files.add(folder + "reserved_regions", FileTree.text(reservedRegions()));
        files.addFolder(folder + "devices");
        for (PciFunction function : group.functions()) {
            files.add(folder + "devices/" + function.address(), link("../../../../", function));
        }
    }

    private String reservedRegions() {
        StringBuilder lines = new StringBuilder();
        for (Iommu.Range range : iommu.reserved()) {
            String kind = range.equals(Iommu.INTERRUPT_WINDOW) ? "msi" : "reserved";
            lines.append(String.format("0x%016x 0x%016x %s\n", range.start(), range.last(), kind));
        }
        return lines.toString().stripTrailing();
    }

    private void addDriver(FileTree files, String driver) {
        String folder = "/sys/bus/pci/drivers/" + driver + "/";
        files.add(folder + "bind", FileTree.store(address -> bus.bindBySysfs(address, driver)));
        files.add(folder + "unbind", FileTree.store(address -> bus.unbindBySysfs(address, driver)));
        for (PciFunction function : bus.functions()) {
            if (driver.equals(function.driver())) {
                files.add(folder + function.address(), link("../../../../", function));
            }
        }
    }
}
