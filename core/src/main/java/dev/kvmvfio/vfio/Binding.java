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
import java.util.concurrent.locks.ReentrantLock;
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
    /** Held over the calls that attach and detach. */
    private final ReentrantLock changing = new ReentrantLock();
    private volatile @Nullable Attachment attachment;

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
        Optional<Attachment> replaced = Lifecycle.lease(device, () -> {
            changing.lock();
            try {
                return replace(made, ioas);
            } finally {
                changing.unlock();
            }
        });
        replaced.ifPresent(Attachment::close);
        return made;
    }

    private Optional<Attachment> replace(Attachment made, Ioas ioas) {
        Attachment before = attachment;
        try {
            Lifecycle.make(made, () -> {
                // From here the kernel may have it, whatever the call ends with.
                attachment = made;
                made.setHwptId(attachTo(ioas));
            }, device, ioas);
        } catch (Throwable failure) {
            // What was attached after all was detached then.
            if (attachment == made && Lifecycle.isClosed(made)) {
                attachment = before;
            }
            throw failure;
        }
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

    /**
     * Makes the device silent before its attachment ends; one that was replaced ends without it.
     *
     * @return false while another thread attaches or detaches, or the device goes on
     */
    boolean quiesce(Attachment ending) {
        if (!changing.tryLock()) {
            return false;
        }
        boolean replaced = attachment != ending;
        changing.unlock();
        return replaced || Lifecycle.quiesce(device);
    }

    /** The kernel answers a detach of what is not attached with success, so only the current attachment may ask. */
    void detach(Attachment ended) {
        Lifecycle.whileLocked(changing, () -> {
            if (attachment == ended) {
                detach();
                attachment = null;
            }
        });
    }

    private void detach() {
        MemorySegment request = vfio_device_detach_iommufd_pt.allocate(Scratch.begin());
        vfio_device_detach_iommufd_pt.argsz(request, DETACH_SIZE);
        device.fd().call(DETACH, request);
    }
}
