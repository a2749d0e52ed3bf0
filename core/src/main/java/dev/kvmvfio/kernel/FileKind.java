package dev.kvmvfio.kernel;

import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What an open file is, as far as its ioctls go. VFIO uses a number for one thing on a container and for another on a
 * device, so an ioctl has a name only together with the kind of file that it is made on.
 */
public enum FileKind {
    /** {@code /dev/kvm}. */
    KVM(Ioctls::ofKvm),
    /** A virtual machine. */
    VM(Ioctls::ofVm),
    /** A virtual processor. */
    VCPU(Ioctls::ofVcpu),
    /** A device that KVM models in the kernel. */
    KVM_DEVICE(Ioctls::ofKvmDevice),
    /** {@code /dev/vfio/vfio}. */
    VFIO_CONTAINER(Ioctls::ofContainer),
    /** {@code /dev/vfio/26}, a group. */
    VFIO_GROUP(Ioctls::ofGroup),
    /** {@code /dev/vfio/devices/vfio0}, a cdev, or a device that was opened through its group. */
    VFIO_DEVICE(Ioctls::ofDevice),
    /** {@code /dev/iommu}, which answers a container's ioctls too. */
    IOMMUFD(Ioctls::ofIommufd),
    /** Anything else: no ioctl of it is known. */
    OTHER(Ioctls::new);

    private static final Pattern GROUP = Pattern.compile("/dev/vfio/(noiommu-)?\\d+");

    private final Supplier<Ioctls> make;
    private volatile @Nullable Ioctls ioctls;

    FileKind(Supplier<Ioctls> make) {
        this.make = make;
    }

    /** Made on first use, because it loads the layouts of many structs. */
    Ioctls ioctls() {
        Ioctls known = ioctls;
        if (known == null) {
            known = make.get();
            ioctls = known;
        }
        return known;
    }

    /**
     * The kind of a file that has just been opened.
     *
     * @param path as it was opened
     * @return the kind, {@link #OTHER} for what is no node of KVM, VFIO or iommufd
     */
    public static FileKind ofPath(String path) {
        return switch (path) {
            case "/dev/kvm" -> KVM;
            case "/dev/vfio/vfio" -> VFIO_CONTAINER;
            case "/dev/iommu" -> IOMMUFD;
            default -> path.startsWith("/dev/vfio/devices/")
                    ? VFIO_DEVICE
                    : GROUP.matcher(path).matches() ? VFIO_GROUP : OTHER;
        };
    }
}
