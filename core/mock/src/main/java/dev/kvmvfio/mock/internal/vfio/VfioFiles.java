package dev.kvmvfio.mock.internal.vfio;

import dev.kvmvfio.mock.internal.pci.Iommu;
import dev.kvmvfio.mock.internal.system.FileSource;
import dev.kvmvfio.mock.internal.system.FileTree;
import dev.kvmvfio.mock.internal.system.Machine;

/** The nodes of VFIO, its modules, and what sysfs tells of its devices. */
public final class VfioFiles implements FileSource {
    private static final int CONTAINER_MINOR = 196;
    private static final int GROUP_MAJOR = 235;
    private static final int CDEV_MAJOR = 511;
    private static final String CDEVS = "/dev/vfio/devices";

    private final Machine machine;
    private final Iommu iommu;
    private final VfioPci driver;

    public VfioFiles(Machine machine, Iommu iommu, VfioPci driver) {
        this.machine = machine;
        this.iommu = iommu;
        this.driver = driver;
    }

    @Override
    public void addTo(FileTree files) {
        files.addFolder("/sys/module/vfio_pci");
        files.add("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
                FileTree.text(iommu.unsafeInterrupts() ? "Y" : "N"));
        files.add("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit", FileTree.text("65535"));
        files.add("/dev/vfio/vfio",
                FileTree.DeviceNode.misc(CONTAINER_MINOR, 0666, () -> new ContainerFile(machine, iommu)));
        int minor = 0;
        for (VfioPciGroup group : driver.groups()) {
            files.add(group.path(), new FileTree.DeviceNode(GROUP_MAJOR, minor++, group::open));
        }
        if (machine.profile().hasCdev()) {
            files.addFolder(CDEVS);
        }
        driver.devices().forEach(device -> addDevice(files, device));
    }

    /** Older kernels have the device's name too, but no node and no device number that belongs to it. */
    private void addDevice(FileTree files, VfioPciDevice device) {
        String folder = device.function().folder() + "/vfio-dev/" + device.name();
        files.addFolder(folder);
        if (machine.profile().hasCdev()) {
            files.add(folder + "/dev", FileTree.text(CDEV_MAJOR + ":" + device.index()));
            files.add(CDEVS + "/" + device.name(),
                    new FileTree.DeviceNode(CDEV_MAJOR, device.index(), () -> DeviceFile.ofNode(device)));
        }
    }
}
