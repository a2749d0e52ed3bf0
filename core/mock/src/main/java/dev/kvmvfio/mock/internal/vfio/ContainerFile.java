package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOTTY;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dirty_bitmap;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_map;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_unmap;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info;
import dev.kvmvfio.mock.internal.pci.Iommu;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.OpenFile;
import dev.kvmvfio.mock.internal.system.Refusal;

/** {@code /dev/vfio/vfio}. What it does not answer itself goes to the IOMMU driver, once there is one. */
final class ContainerFile extends OpenFile {
    static final IoctlTable<ContainerFile> IOCTLS = new IoctlTable<>(ContainerFile.class, EINVAL)
            .on("VFIO_GET_API_VERSION", vfio_h.VFIO_GET_API_VERSION(),
                    (file, argument) -> vfio_h.VFIO_API_VERSION())
            .on("VFIO_CHECK_EXTENSION", vfio_h.VFIO_CHECK_EXTENSION(),
                    (file, argument) -> file.container.checkExtension(argument.number()))
            .on("VFIO_SET_IOMMU", vfio_h.VFIO_SET_IOMMU(), (file, argument) -> {
                file.container.setIommu(argument.number());
                return 0;
            })
            .on("VFIO_IOMMU_GET_INFO", vfio_h.VFIO_IOMMU_GET_INFO(), vfio_iommu_type1_info.layout(),
                    (file, argument) -> file.type1().getInfo(argument))
            .on("VFIO_IOMMU_MAP_DMA", vfio_h.VFIO_IOMMU_MAP_DMA(), vfio_iommu_type1_dma_map.layout(),
                    (file, argument) -> file.type1().map(argument))
            .on("VFIO_IOMMU_UNMAP_DMA", vfio_h.VFIO_IOMMU_UNMAP_DMA(), vfio_iommu_type1_dma_unmap.layout(),
                    (file, argument) -> file.type1().unmap(argument))
            .on("VFIO_IOMMU_DIRTY_PAGES", vfio_h.VFIO_IOMMU_DIRTY_PAGES(), vfio_iommu_type1_dirty_bitmap.layout(),
                    (file, argument) -> file.type1().dirtyPages(argument));

    private final Container container;

    ContainerFile(Machine machine, Iommu iommu) {
        super("/dev/vfio/vfio");
        this.container = new Container(machine, iommu);
    }

    Container container() {
        return container;
    }

    @Override
    protected IoctlTable<?> ioctls() {
        return IOCTLS;
    }

    private Type1 type1() {
        Refusal.when(container.type1() == null, EINVAL);
        return container.type1();
    }

    @Override
    protected long ioctl(long request, Argument argument) {
        Refusal.when(!IOCTLS.has(request), container.type1() == null ? EINVAL : ENOTTY);
        return super.ioctl(request, argument);
    }
}
