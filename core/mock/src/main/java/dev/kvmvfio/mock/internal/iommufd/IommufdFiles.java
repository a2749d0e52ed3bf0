package dev.kvmvfio.mock.internal.iommufd;

import dev.kvmvfio.mock.internal.pci.Iommu;
import dev.kvmvfio.mock.internal.system.FileSource;
import dev.kvmvfio.mock.internal.system.FileTree;
import dev.kvmvfio.mock.internal.system.Machine;

/** The node and the module of iommufd, which older kernels do not have. */
public final class IommufdFiles implements FileSource {
    private static final int MINOR = 126;

    private final Machine machine;
    private final Iommu iommu;

    public IommufdFiles(Machine machine, Iommu iommu) {
        this.machine = machine;
        this.iommu = iommu;
    }

    @Override
    public void addTo(FileTree files) {
        if (machine.profile().hasCdev()) {
            files.add("/dev/iommu", FileTree.DeviceNode.misc(MINOR, 0660, () -> new IommufdFile(machine, iommu)));
            files.add("/sys/module/iommufd/parameters/allow_unsafe_interrupts",
                    FileTree.text(iommu.unsafeInterrupts() ? "Y" : "N"));
        }
    }
}
