package dev.kvmvfio.mock.internal.iommufd;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.mock.internal.pci.IsolationGroup;
import dev.kvmvfio.mock.internal.pci.PciFunction;
import dev.kvmvfio.mock.internal.system.Refusal;

/** A device that is bound to an iommufd, and the page table that it is attached to. */
public final class IommufdPciDevice extends IommufdObject {
    private final PciFunction function;
    private final IommufdGroup group;

    IommufdPciDevice(IommufdFile file, PciFunction function, IommufdGroup group) {
        super(file);
        this.function = function;
        this.group = group;
        // VFIO uses the object until it unbinds the device, so no program can destroy it.
        addUser();
        file.get();
    }

    /** A way of coming to a page table; it answers the table that was left, or null. */
    private interface Move {
        IommufdHwpt to(IommufdHwpt table);

        /** The same, with a table that has to be filled yet. */
        IommufdHwpt toNew(IommufdHwpt table);
    }

    /** Of a device that is nowhere. What the device forbids counts before the table is filled. */
    private final class Arrival implements Move {
        @Override
        public IommufdHwpt to(IommufdHwpt table) {
            group.attach(IommufdPciDevice.this, table);
            return null;
        }

        @Override
        public IommufdHwpt toNew(IommufdHwpt table) {
            to(table);
            try {
                table.fill();
            } catch (Refusal refused) {
                group.detach(IommufdPciDevice.this);
                throw refused;
            }
            return null;
        }
    }

    /** Of a device that is attached already, and so never is without a table. */
    private final class Replacement implements Move {
        @Override
        public IommufdHwpt to(IommufdHwpt table) {
            return group.replace(IommufdPciDevice.this, table);
        }

        @Override
        public IommufdHwpt toNew(IommufdHwpt table) {
            table.fill();
            return to(table);
        }
    }

    /** Attaches to a page table, or to an address space by a page table that is found or made; answers its number. */
    public int attach(int id) {
        int hwpt = move(id, new Arrival());
        addUser();
        return hwpt;
    }

    /** Moves to another page table or address space. */
    public int replace(int id) {
        return move(id, new Replacement());
    }

    private int move(int id, Move move) {
        IommufdObject target = file().get(id, IommufdObject.class);
        return switch (target) {
            case IommufdHwpt table -> {
                drop(move.to(table));
                yield table.id();
            }
            case IommufdIoas ioas -> move(ioas, move);
            default -> throw Refusal.of(EINVAL);
        };
    }

    private int move(IommufdIoas ioas, Move move) {
        for (IommufdHwpt table : ioas.automaticTables()) {
            try {
                drop(move.to(table));
                return table.id();
            } catch (Refusal refused) {
                if (refused != Refusal.of(EINVAL)) {
                    throw refused;
                }
                // This table does not suit the device; another may.
            }
        }
        return moveToNew(ioas, move);
    }

    private int moveToNew(IommufdIoas ioas, Move move) {
        IommufdHwpt table = file().add(new IommufdHwpt(file(), ioas, true));
        IommufdHwpt old;
        try {
            old = move.toNew(table);
        } catch (Refusal refused) {
            file().remove(table);
            throw refused;
        }
        drop(old);
        return table.id();
    }

    private void drop(IommufdHwpt old) {
        if (old != null && old.isAutomatic() && !old.isUsed()) {
            file().remove(old);
        }
    }

    boolean isOf(IsolationGroup iommuGroup) {
        return function.group() == iommuGroup;
    }

    public void detach() {
        drop(group.detach(this));
        removeUser();
    }

    public void unbind() {
        file().remove(this);
    }

    @Override
    void destroy() {
        function.group().release();
        file().put();
    }
}
