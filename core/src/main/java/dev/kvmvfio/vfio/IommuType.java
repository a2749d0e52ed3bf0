package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_h;

/** The kinds of IOMMU that a container can have; which of them there are depends on the architecture. */
public enum IommuType {
    /** An IOMMU with page tables of its own, as those of x86-64 and Arm. */
    TYPE1("type 1", vfio_h.VFIO_TYPE1_IOMMU()),
    /** The same, which unmaps no more and no less than what was mapped. Needs Linux 3.17. */
    TYPE1V2("type 1 v2", vfio_h.VFIO_TYPE1v2_IOMMU()),
    /** PowerPC: DMA windows, whose memory is pinned at each mapping. */
    SPAPR_TCE("sPAPR TCE", vfio_h.VFIO_SPAPR_TCE_IOMMU()),
    /** PowerPC: the same, whose memory is registered once. Needs Linux 4.2. */
    SPAPR_TCE_V2("sPAPR TCE v2", vfio_h.VFIO_SPAPR_TCE_v2_IOMMU()),
    /** None at all, in the kernel's unsafe mode: the device reaches all memory of the host. Needs Linux 4.5. */
    NOIOMMU("no IOMMU", vfio_h.VFIO_NOIOMMU_IOMMU());

    private final String words;
    private final int number;

    IommuType(String words, int number) {
        this.words = words;
        this.number = number;
    }

    /**
     * The kernel's number.
     *
     * @return the {@code VFIO_..._IOMMU} constant
     */
    public int number() {
        return number;
    }

    @Override
    public String toString() {
        return words;
    }
}
