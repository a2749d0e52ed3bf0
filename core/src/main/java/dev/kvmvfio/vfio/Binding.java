package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_device_attach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_detach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.MemorySegment;
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
    private final VfioCdev cdev;
    private final Iommufd iommufd;
    private final int id;
    private @Nullable Attachment attachment;

    Binding(VfioDevice device, VfioCdev cdev, Iommufd iommufd, int id) {
        this.device = device;
        this.cdev = cdev;
        this.iommufd = iommufd;
        this.id = id;
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
        @Nullable
        Attachment replaced;
        Attachment made;
        synchronized (this) {
            made = new Attachment(this, ioas, attachTo(ioas));
            replaced = attachment;
            attachment = made;
        }
        // Not within the lock, which a close on another thread may want.
        Lifecycle.adopt(made, device, ioas);
        if (replaced != null) {
            replaced.close();
        }
        return made;
    }

    private int attachTo(Ioas ioas) {
        MemorySegment request = vfio_device_attach_iommufd_pt.allocate(Scratch.begin());
        vfio_device_attach_iommufd_pt.argsz(request, ATTACH_SIZE);
        vfio_device_attach_iommufd_pt.pt_id(request, ioas.id());
        int result = device.fd().ioctl(ATTACH, request);
        if (result < 0) {
            throw new KernelException(ATTACH.name(), device, "pt_id=" + ioas.id(), result, attachRemedy(ioas, result));
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
        attachment = null;
        MemorySegment request = vfio_device_detach_iommufd_pt.allocate(Scratch.begin());
        vfio_device_detach_iommufd_pt.argsz(request, DETACH_SIZE);
        device.fd().call(DETACH, request);
    }

    /** A binding lasts until the file is closed. */
    void end() {
        cdev.close();
    }
}
