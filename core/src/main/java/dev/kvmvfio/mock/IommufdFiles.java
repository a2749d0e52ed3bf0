package dev.kvmvfio.mock;

/** The node and the module of iommufd, which older kernels do not have. */
final class IommufdFiles implements FileSource {
    private static final int MINOR = 126;

    private final Machine machine;
    private final Iommu iommu;

    IommufdFiles(Machine machine, Iommu iommu) {
        this.machine = machine;
        this.iommu = iommu;
    }

    @Override
    public void addTo(FileTree files) {
        if (machine.profile().hasCdev()) {
            files.add("/dev/iommu", FileTree.DeviceNode.misc(MINOR, () -> new IommufdFile(machine, iommu)));
            files.add("/sys/module/iommufd/parameters/allow_unsafe_interrupts",
                    FileTree.text(iommu.unsafeInterrupts() ? "Y" : "N"));
        }
    }
}
