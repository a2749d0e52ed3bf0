package dev.kvmvfio.mock;

/** A page table of the IOMMU that holds what an address space maps. As long as there is one, the memory is pinned. */
final class Hwpt extends IommufdObject {
    private final Ioas ioas;
    private final boolean automatic;
    private boolean filled;

    /** A page table that is empty yet; an automatic one goes with the last device. */
    Hwpt(IommufdFile file, Ioas ioas, boolean automatic) {
        super(file);
        this.ioas = ioas;
        this.automatic = automatic;
        ioas.addUser();
    }

    Ioas ioas() {
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
