package dev.kvmvfio.vfio;

import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;

/** A device that is bound to an iommufd without a VM knowing of it, for a driver in user space. */
public final class BoundDevice extends VfioDevice implements IommufdDevice {
    private final Binding binding;

    BoundDevice(VfioCdev cdev, Iommufd iommufd) {
        super(cdev.fd());
        this.binding = new Binding(this, iommufd);
    }

    static BoundDevice bind(VfioCdev cdev, Iommufd iommufd) {
        BoundDevice device = new BoundDevice(cdev, iommufd);
        Lifecycle.follow(device, cdev);
        return Lifecycle.make(device, () -> device.binding.setId(cdev.bindFor(false, iommufd)), cdev, iommufd);
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
