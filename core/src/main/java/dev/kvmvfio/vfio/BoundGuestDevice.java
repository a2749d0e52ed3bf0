package dev.kvmvfio.vfio;

import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;

/** A guest's device that is bound to an iommufd: {@link RegisteredCdev#bind} opens it. */
public final class BoundGuestDevice extends GuestDevice implements IommufdDevice {
    private final Binding binding;

    BoundGuestDevice(RegisteredCdev registration, Iommufd iommufd) {
        super(registration.file().fd(), registration);
        this.binding = new Binding(this, iommufd);
    }

    static BoundGuestDevice bind(RegisteredCdev registration, Iommufd iommufd) {
        VfioCdev cdev = registration.file();
        BoundGuestDevice device = new BoundGuestDevice(registration, iommufd);
        Lifecycle.follow(device, cdev);
        return Lifecycle.make(device, () -> device.binding.setId(cdev.bindFor(true, iommufd)), registration, iommufd);
    }

    @Override
    public int id() {
        return binding.id();
    }

    @Override
    public Iommufd iommufd() {
        return binding.iommufd();
    }

    @Override
    public Attachment attach(Ioas ioas) {
        return binding.attach(ioas);
    }
}
