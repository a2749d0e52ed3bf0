package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_device_attach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_detach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Remedy;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** A device's binding to an iommufd, and its attachment there: what the two types of bound devices share. */
final class Binding {
    private static final Ioctl ATTACH = new Ioctl("VFIO_DEVICE_ATTACH_IOMMUFD_PT",
            vfio_h.VFIO_DEVICE_ATTACH_IOMMUFD_PT());
    private static final Ioctl DETACH = new Ioctl("VFIO_DEVICE_DETACH_IOMMUFD_PT",
            vfio_h.VFIO_DEVICE_DETACH_IOMMUFD_PT());
    /** What Linux 6.6 knew of the two structs; every later kernel takes that much. */
    private static final int ATTACH_SIZE = 12;
    private static final int DETACH_SIZE = 8;

    private final VfioDevice device;
    private final Iommufd iommufd;
    private volatile int id;
    private @Nullable Attachment attachment;

    Binding(VfioDevice device, Iommufd iommufd) {
        this.device = device;
        this.iommufd = iommufd;
    }

    void setId(int given) {
        id = given;
    }

    VfioDevice device() {
        return device;
    }

    int id() {
        return id;
    }

    Iommufd iommufd() {
        return iommufd;
    }

    Attachment attach(Ioas ioas) {
        if (ioas.iommufd() != iommufd) {
            // The number alone goes to the kernel, and may be that of another address space here.
            throw new IllegalArgumentException(ioas + " is of another iommufd than " + iommufd);
        }
        Attachment made = new Attachment(this, ioas);
        Optional<Attachment> replaced = Lifecycle.lease(device, () -> replace(made, ioas));
        replaced.ifPresent(Attachment::close);
        return made;
    }

    private synchronized Optional<Attachment> replace(Attachment made, Ioas ioas) {
        Attachment before = attachment;
        Lifecycle.make(made, () -> {
            // From here the kernel may have it, whatever the call ends with.
            attachment = made;
            try {
                made.setHwptId(attachTo(ioas));
            } catch (KernelException refused) {
                attachment = before;
                throw refused;
            }
        }, device, ioas);
        return Optional.ofNullable(before);
    }

    private int attachTo(Ioas ioas) {
        MemorySegment request = vfio_device_attach_iommufd_pt.allocate(Scratch.begin());
        vfio_device_attach_iommufd_pt.argsz(request, ATTACH_SIZE);
        vfio_device_attach_iommufd_pt.pt_id(request, ioas.id());
        int result = device.fd().ioctl(ATTACH, request);
        if (result < 0) {
            throw new KernelException(ATTACH.name(), device, "pt_id=" + ioas.id(), result,
                    Remedy.of(() -> attachRemedy(ioas, result)));
        }
        return vfio_device_attach_iommufd_pt.pt_id(request);
    }

    private String attachRemedy(Ioas ioas, int result) {
        return switch (Errno.of(-result)) {
            case EINVAL -> "Another device of its group may be attached to another address space";
            case EADDRINUSE -> "Something is mapped at addresses that this device reserves: " + ioas.mappings();
            case ENOMEM, EFAULT -> "Memory that is mapped in the address space could not be pinned";
            default -> "";
        };
    }

    /** Whether closing an attachment takes the device's memory away; one that was replaced does not. */
    synchronized boolean isCurrent(Attachment some) {
        return attachment == some;
    }

    /** The kernel answers a detach of what is not attached with success, so only the current attachment may ask. */
    synchronized void detach(Attachment ended) {
        if (attachment != ended) {
            return;
        }
        MemorySegment request = vfio_device_detach_iommufd_pt.allocate(Scratch.begin());
        vfio_device_detach_iommufd_pt.argsz(request, DETACH_SIZE);
        device.fd().call(DETACH, request);
        attachment = null;
    }
}
