package dev.kvmvfio.vfio;

import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;

/** A device that is bound to an iommufd without a VM knowing of it, for a driver in user space. */
public final class BoundDevice extends VfioDevice implements IommufdDevice {
    private final Binding binding;

    BoundDevice(VfioCdev cdev, Iommufd iommufd, int id) {
        super(cdev.fd());
        this.binding = new Binding(this, cdev, iommufd, id);
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
