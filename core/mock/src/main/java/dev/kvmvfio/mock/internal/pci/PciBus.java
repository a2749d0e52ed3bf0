package dev.kvmvfio.mock.internal.pci;

import static dev.kvmvfio.kernel.Errno.EBUSY;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;

import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** The devices of the machine, their groups, and which driver has which. */
public final class PciBus {
    private final Machine machine;
    private final Map<String, PciFunction> functions = new TreeMap<>();
    private final Map<Integer, IsolationGroup> groups = new TreeMap<>();
    private final Map<String, PciDriver> registered = new HashMap<>();

    /** A bus whose devices have no drivers yet. */
    public PciBus(Machine machine, Iommu iommu, List<PciDescription> devices) {
        this.machine = machine;
        devices.stream().filter(device -> device.group() != null).forEach(device -> add(device, iommu));
        devices.stream().filter(device -> device.group() == null).forEach(device -> add(device, iommu));
    }

    private void add(PciDescription device, Iommu iommu) {
        functions.put(device.address(), new PciFunction(machine, device, iommu.present() ? group(device) : null));
    }

    private IsolationGroup group(PciDescription device) {
        int number = device.group() == null ? lowestFree(groups.keySet()) : device.group();
        return groups.computeIfAbsent(number, IsolationGroup::new);
    }

    public static int lowestFree(Collection<Integer> used) {
        int number = 0;
        while (used.contains(number)) {
            number++;
        }
        return number;
    }

    public Collection<PciFunction> functions() {
        return functions.values();
    }

    Collection<IsolationGroup> groups() {
        return groups.values();
    }

    /** The device at an address, or null. */
    public PciFunction function(String address) {
        return functions.get(address);
    }

    /** Adds a driver that is not the host's own for any device: it takes those alone that it is given. */
    public void register(String name, PciDriver driver) {
        registered.put(name, driver);
    }

    /** The names of all drivers that there are. */
    Set<String> drivers() {
        Set<String> names = new TreeSet<>(registered.keySet());
        functions.values().stream().map(function -> function.description().driver().name())
                .filter(Objects::nonNull).forEach(names::add);
        return names;
    }

    private PciDriver driver(String name) {
        return registered.getOrDefault(name, new HostDriver(name));
    }

    public void bind(PciFunction function, String driver) {
        function.setDriver(driver, driver(driver).bind(function));
    }

    /** What a write to {@code unbind} of a driver does. */
    void unbindBySysfs(String address, String driver) {
        PciFunction function = functions.get(address);
        Refusal.when(function == null || !driver.equals(function.driver()), ENODEV);
        driver(driver).unbind(function);
        function.setDriver(null, PciClient.NONE);
    }

    /** What a write to {@code bind} of a driver does. */
    void bindBySysfs(String address, String driver) {
        PciFunction function = functions.get(address);
        Refusal.when(function == null || !driver.equals(match(function)), ENODEV);
        Refusal.when(function.driver() != null, EBUSY);
        bind(function, driver);
    }

    /** What a write to {@code drivers_probe} does: the driver that suits a device takes it, if there is one. */
    void probe(String address) {
        PciFunction function = functions.get(address);
        Refusal.when(function == null, EINVAL);
        if (function.driver() == null && match(function) != null) {
            bind(function, match(function));
        }
    }

    /** The driver that would take a device: the one that is asked for, or its own. */
    private String match(PciFunction function) {
        if (function.driverOverride() != null) {
            return function.driverOverride();
        }
        String own = function.description().driver().name();
        return registered.containsKey(own) ? null : own;
    }
}
