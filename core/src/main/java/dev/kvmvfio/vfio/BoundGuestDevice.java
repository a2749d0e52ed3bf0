package dev.kvmvfio.vfio;

import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;

/** A guest's device that is bound to an iommufd: {@link RegisteredCdev#bind} opens it. */
public final class BoundGuestDevice extends GuestDevice implements IommufdDevice {
    private final Binding binding;

    BoundGuestDevice(RegisteredCdev registration, Iommufd iommufd, int id) {
        super(registration.file().fd(), registration);
        this.binding = new Binding(this, registration.file(), iommufd, id);
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

    @Override
    void closeFile() {
        binding.end();
    }
}
