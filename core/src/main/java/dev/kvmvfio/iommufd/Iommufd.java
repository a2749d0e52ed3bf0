package dev.kvmvfio.iommufd;

import dev.kvmvfio.bindings.iommufd.iommu_destroy;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_alloc;
import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.internal.DeviceNode;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.FileHandle;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.MemorySegment;

/**
 * {@code /dev/iommu}: the kernel's newer interface to IOMMUs. Devices are bound to it, and the address spaces that they
 * use for DMA are allocated in it. Needs Linux 6.2 for itself and 6.6 for VFIO devices, built with
 * {@code CONFIG_IOMMUFD}.
 *
 * <p>What is allocated here belongs to this object, and so does a device that is bound to it: closing it gives them back
 * first.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class Iommufd extends FileHandle {
    /** Where Linux has it. */
    public static final String PATH = "/dev/iommu";

    private static final Ioctl DESTROY = new Ioctl("IOMMU_DESTROY", iommufd_h.IOMMU_DESTROY());
    private static final Ioctl IOAS_ALLOC = new Ioctl("IOMMU_IOAS_ALLOC", iommufd_h.IOMMU_IOAS_ALLOC());

    private Iommufd(FileDescriptor fd) {
        super(fd, Rank.FILE);
    }

    /**
     * Opens {@code /dev/iommu} of the running Linux.
     *
     * @return iommufd, owned by the caller
     * @throws KernelException when it cannot be opened; the message says what to do
     */
    public static Iommufd open() {
        return open(Kernel.linux());
    }

    /**
     * Opens {@code /dev/iommu}.
     *
     * @param kernel where to open it
     * @return iommufd, owned by the caller
     * @throws KernelException when it cannot be opened; the message says what to do
     */
    public static Iommufd open(Kernel kernel) {
        FileDescriptor fd = DeviceNode.open(kernel, PATH, Iommufd::openRemedy);
        return Lifecycle.root(new Iommufd(fd), fd);
    }

    private static String openRemedy(Errno errno) {
        return switch (errno) {
            case ENOENT, ENODEV -> "The kernel needs CONFIG_IOMMUFD, and the module iommufd loaded; without it use the "
                    + "group interface. A container needs --device " + PATH;
            default -> "";
        };
    }

    /**
     * {@code IOMMU_IOAS_ALLOC}.
     *
     * @return an empty address space, which belongs to this object
     * @throws KernelException when the kernel refuses
     */
    public Ioas allocateIoas() {
        return Lifecycle.lease(this, this::allocate);
    }

    private Ioas allocate() {
        MemorySegment request = iommu_ioas_alloc.allocate(Scratch.begin());
        iommu_ioas_alloc.size(request, (int) request.byteSize());
        fd().call(IOAS_ALLOC, request);
        return Lifecycle.adopt(new Ioas(this, iommu_ioas_alloc.out_ioas_id(request)), this);
    }

    void destroy(int id) {
        MemorySegment request = iommu_destroy.allocate(Scratch.begin());
        iommu_destroy.size(request, (int) request.byteSize());
        iommu_destroy.id(request, id);
        int result = fd().ioctl(DESTROY, request);
        if (result < 0) {
            throw new KernelException(DESTROY.name(), fd(), "id=" + id, result,
                    Errno.EBUSY.is(result) ? "A device is still attached to it" : "");
        }
    }
}
