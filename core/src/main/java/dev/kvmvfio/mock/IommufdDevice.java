package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import java.util.function.UnaryOperator;

/** A device that is bound to an iommufd, and the page table that it is attached to. */
final class IommufdDevice extends IommufdObject {
    private final PciFunction function;
    private final IommufdGroup group;

    IommufdDevice(IommufdFile file, PciFunction function, IommufdGroup group) {
        super(file);
        this.function = function;
        this.group = group;
        // VFIO uses the object until it unbinds the device, so no program can destroy it.
        addUser();
    }

    /** Attaches to a page table, or to an address space by a page table that is found or made; answers its number. */
    int attach(int id) {
        int hwpt = change(id, table -> {
            group.attach(this, table);
            return null;
        });
        addUser();
        return hwpt;
    }

    /** Moves to another page table or address space. */
    int replace(int id) {
        return change(id, table -> group.replace(this, table));
    }

    /** The step answers the page table that was left, or null. */
    private int change(int id, UnaryOperator<Hwpt> step) {
        IommufdObject target = file().get(id, IommufdObject.class);
        return switch (target) {
            case Hwpt table -> {
                drop(step.apply(table));
                yield table.id();
            }
            case Ioas ioas -> change(ioas, step);
            default -> throw Refusal.of(EINVAL);
        };
    }

    private int change(Ioas ioas, UnaryOperator<Hwpt> step) {
        for (Hwpt table : ioas.automaticTables()) {
            try {
                drop(step.apply(table));
                return table.id();
            } catch (Refusal refused) {
                if (refused != Refusal.of(EINVAL)) {
                    throw refused;
                }
                // This table does not suit the device; another may.
            }
        }
        return changeToNew(ioas, step);
    }

    private int changeToNew(Ioas ioas, UnaryOperator<Hwpt> step) {
        Hwpt table = file().add(new Hwpt(file(), ioas, true));
        Hwpt old;
        try {
            table.fill();
            old = step.apply(table);
        } catch (Refusal refused) {
            file().remove(table);
            throw refused;
        }
        drop(old);
        return table.id();
    }

    private void drop(Hwpt old) {
        if (old != null && old.isAutomatic() && !old.isUsed()) {
            file().remove(old);
        }
    }

    void detach() {
        drop(group.detach(this));
        removeUser();
    }

    void unbind() {
        file().remove(this);
    }

    @Override
    void destroy() {
        function.group().release();
    }
}
