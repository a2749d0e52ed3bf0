package dev.kvmvfio.passthrough;

/** The two ways in which Linux hands out a device. */
public enum VfioInterface {
    /** The device's own file, bound to an iommufd: Linux 6.6 and later. */
    CDEV("IOMMU_IOAS_MAP", "IOMMU_IOAS_UNMAP"),
    /** The file of the device's group, in a container. */
    GROUP("VFIO_IOMMU_MAP_DMA", "VFIO_IOMMU_UNMAP_DMA");

    private final String mapCall;
    private final String unmapCall;

    VfioInterface(String mapCall, String unmapCall) {
        this.mapCall = mapCall;
        this.unmapCall = unmapCall;
    }

    String mapCall() {
        return mapCall;
    }

    String unmapCall() {
        return unmapCall;
    }
}
