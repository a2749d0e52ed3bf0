package dev.kvmvfio.mock.internal.iommufd;

import static dev.kvmvfio.kernel.Errno.EBADFD;
import static dev.kvmvfio.kernel.Errno.EBUSY;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;
import static dev.kvmvfio.kernel.Errno.ENOENT;
import static dev.kvmvfio.kernel.Errno.ENXIO;
import static dev.kvmvfio.kernel.Errno.EPERM;

import dev.kvmvfio.mock.internal.pci.Iommu;
import dev.kvmvfio.mock.internal.pci.IsolationGroup;
import dev.kvmvfio.mock.internal.pci.PciFunction;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Mapping;
import dev.kvmvfio.mock.internal.system.OpenFile;
import dev.kvmvfio.mock.internal.system.Pages;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** {@code /dev/iommu}: numbered objects that form a graph, and the devices that are bound here. */
public final class IommufdFile extends OpenFile {
    private final Machine machine;
    private final Iommu iommu;
    private final TreeMap<Integer, IommufdObject> objects = new TreeMap<>();
    private final Map<IsolationGroup, IommufdGroup> groups = new HashMap<>();
    private Pages.Accounting accounting = Pages.Accounting.USER;
    private IommufdIoas compatIoas;

    IommufdFile(Machine machine, Iommu iommu) {
        super("/dev/iommu");
        this.machine = machine;
        this.iommu = iommu;
    }

    /** The iommufd behind a number, for a call that takes one. */
    public static IommufdFile of(Machine machine, int fd) {
        if (machine.files().get(fd) instanceof IommufdFile iommufd) {
            return iommufd;
        }
        throw Refusal.of(EBADFD);
    }

    @Override
    protected IoctlTable<?> ioctls() {
        return IommufdCommands.IOCTLS;
    }

    /** Later kernels map parts of an IOMMU's own queues, which this one does not have. */
    @Override
    protected Mapping mmap(MappingRequest request) {
        boolean queues = machine.isAtLeast(KernelProfile.V7_2);
        Refusal.when(queues && !request.shared(), EINVAL);
        throw Refusal.of(queues ? ENXIO : ENODEV);
    }

    Machine machine() {
        return machine;
    }

    Iommu iommu() {
        return iommu;
    }

    Pages.Accounting accounting() {
        return accounting;
    }

    void setAccounting(Pages.Accounting payer) {
        accounting = payer;
    }

    boolean hasObjects() {
        return !objects.isEmpty();
    }

    /** Gives an object the lowest number that is free, from 1. */
    <O extends IommufdObject> O add(O object) {
        int id = 1;
        while (objects.containsKey(id)) {
            id++;
        }
        object.setId(id);
        objects.put(id, object);
        return object;
    }

    /** Finds an object of a kind by its number. */
    <O extends IommufdObject> O get(int id, Class<O> kind) {
        IommufdObject object = objects.get(id);
        Refusal.when(!kind.isInstance(object), ENOENT);
        return kind.cast(object);
    }

    /** Destroys an object that nobody uses. */
    void destroy(int id) {
        IommufdObject object = get(id, IommufdObject.class);
        Refusal.when(object.isUsed(), EBUSY);
        remove(object);
    }

    /** Takes an object away by whoever holds the last use of it. */
    void remove(IommufdObject object) {
        objects.remove(object.id());
        if (compatIoas == object) {
            compatIoas = null;
        }
        object.destroy();
    }

    /** Whether a device of a group is bound here. */
    public boolean hasGroup(IsolationGroup group) {
        return objects.values().stream()
                .anyMatch(object -> object instanceof IommufdPciDevice device && device.isOf(group));
    }

    List<IommufdIoas> ioases() {
        return objects.values().stream().filter(IommufdIoas.class::isInstance).map(IommufdIoas.class::cast).toList();
    }

    /** The address space that VFIO's own calls mean here. */
    public IommufdIoas compatIoas() {
        Refusal.when(compatIoas == null, ENODEV);
        return compatIoas;
    }

    void setCompatIoas(IommufdIoas ioas) {
        compatIoas = ioas;
    }

    public void ensureCompatIoas() {
        if (compatIoas == null) {
            compatIoas = add(new IommufdIoas(this));
        }
    }

    /** Makes a device this iommufd's own, and with it the device's group. */
    public IommufdPciDevice bind(PciFunction function) {
        IsolationGroup group = function.group();
        Refusal.when(!iommu.isSafe(), EPERM);
        group.share(this);
        return add(new IommufdPciDevice(this, function, groups.computeIfAbsent(group, IommufdGroup::new)));
    }

    @Override
    protected void release() {
        // Page tables use address spaces, so they go first.
        objects.values().stream().filter(IommufdHwpt.class::isInstance).toList().forEach(this::remove);
        List.copyOf(objects.values()).forEach(this::remove);
    }
}
