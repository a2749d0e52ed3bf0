package dev.kvmvfio.mock.internal.iommufd;

/** A page table of the IOMMU that holds what an address space maps. As long as there is one, the memory is pinned. */
final class IommufdHwpt extends IommufdObject {
    private final IommufdIoas ioas;
    private final boolean automatic;
    private boolean filled;

    /** A page table that is empty yet; an automatic one goes with the last device. */
    IommufdHwpt(IommufdFile file, IommufdIoas ioas, boolean automatic) {
        super(file);
        this.ioas = ioas;
        this.automatic = automatic;
        ioas.addUser();
    }

    IommufdIoas ioas() {
        return ioas;
    }

    boolean isAutomatic() {
        return automatic;
    }

    void fill() {
        ioas.addTable(this);
        filled = true;
    }

    @Override
    void destroy() {
        if (filled) {
            ioas.removeTable(this);
        }
        ioas.removeUser();
    }
}
