package dev.kvmvfio.mock.model;

/** Which Linux the mock kernel behaves like. */
public enum KernelProfile {
    /** Linux 6.1: VFIO groups and containers only; KVM takes group files. */
    V6_1("6.1.0"),
    /** Linux 6.12: also VFIO character devices and iommufd; KVM takes group and device files. */
    V6_12("6.12.0"),
    /** Linux 7.2 and later: also mapping of files, tokens and PASIDs at bind and attach. */
    V7_2("7.2.0");

    private final String release;

    KernelProfile(String release) {
        this.release = release;
    }

    /**
     * The version as {@code uname -r} begins.
     *
     * @return such as {@code 6.12.0}
     */
    public String release() {
        return release;
    }

    /**
     * Whether this kernel has {@code /dev/vfio/devices} and {@code /dev/iommu}.
     *
     * @return false for 6.1
     */
    public boolean hasCdev() {
        return this != V6_1;
    }
}
