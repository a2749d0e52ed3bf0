package dev.kvmvfio.vfio;

import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.kernel.Handle;

/**
 * A device's use of an address space. Closing it closes what uses the device, such as its mapped BARs and its interrupts,
 * and detaches it ({@code VFIO_DEVICE_DETACH_IOMMUFD_PT}). One that another attachment has replaced does neither when it
 * is closed.
 */
public final class Attachment extends Handle {
    private final Binding binding;
    private final Ioas ioas;
    private volatile int hwptId;

    Attachment(Binding binding, Ioas ioas) {
        super(Rank.ATTACHMENT);
        this.binding = binding;
        this.ioas = ioas;
    }

    void setHwptId(int chosen) {
        hwptId = chosen;
    }

    /**
     * The hardware page table that the kernel chose.
     *
     * @return the number that iommufd knows it by
     */
    public int hwptId() {
        return hwptId;
    }

    /**
     * The address space.
     *
     * @return what the device is attached to
     */
    public Ioas ioas() {
        return ioas;
    }

    @Override
    protected boolean quiesce() {
        return binding.quiesce(this);
    }

    @Override
    protected void release() {
        binding.detach(this);
    }

    @Override
    public String toString() {
        return binding.device() + " attached to " + ioas;
    }
}
