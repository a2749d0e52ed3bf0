package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.mock.internal.pci.Iommu;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.util.ArrayList;
import java.util.List;

/**
 * A VFIO container: the groups that share one set of mappings. It lives as long as its file or a group in it; the
 * mappings go with the last group.
 */
final class Container {
    private final Machine machine;
    private final Iommu iommu;
    private final List<VfioPciGroup> groups = new ArrayList<>();
    private Type1 type1;

    Container(Machine machine, Iommu iommu) {
        this.machine = machine;
        this.iommu = iommu;
    }

    /** The IOMMU driver, or null before {@code VFIO_SET_IOMMU} and after the last group left. */
    Type1 type1() {
        return type1;
    }

    void add(VfioPciGroup group) {
        if (type1 != null) {
            type1.attach(group.iommuGroup());
        }
        groups.add(group);
    }

    void remove(VfioPciGroup group) {
        groups.remove(group);
        if (type1 != null) {
            type1.detach(group.iommuGroup());
            if (groups.isEmpty()) {
                type1.release();
                type1 = null;
            }
        }
    }

    void setIommu(long type) {
        Refusal.when(groups.isEmpty() || type1 != null, EINVAL);
        Refusal.when(checkExtension(type) == 0, ENODEV);
        if (type == vfio_h.__VFIO_RESERVED_TYPE1_NESTING_IOMMU()) {
            throw new NotModelledException("VFIO_TYPE1_NESTING_IOMMU");
        }
        boolean version2 = type == vfio_h.VFIO_TYPE1v2_IOMMU();
        Refusal.when(!version2 && type != vfio_h.VFIO_TYPE1_IOMMU(), EINVAL);
        Type1 driver = new Type1(machine, iommu, version2);
        try {
            groups.forEach(group -> driver.attach(group.iommuGroup()));
        } catch (Refusal refused) {
            driver.release();
            throw refused;
        }
        type1 = driver;
    }

    int checkExtension(long extension) {
        boolean nesting = extension == vfio_h.__VFIO_RESERVED_TYPE1_NESTING_IOMMU()
                && !machine.isAtLeast(KernelProfile.V7_2);
        boolean always = extension == vfio_h.VFIO_TYPE1_IOMMU() || extension == vfio_h.VFIO_TYPE1v2_IOMMU()
                || extension == vfio_h.VFIO_UNMAP_ALL() || nesting;
        boolean whenSet = extension == vfio_h.VFIO_UPDATE_VADDR();
        return always || whenSet && type1 != null ? 1 : 0;
    }
}
