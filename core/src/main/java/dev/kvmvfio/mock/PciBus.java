package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.EBUSY;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;

import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;

/** The devices of the machine, their groups, and which driver has which. */
final class PciBus {
    /** Drivers that leave a device's DMA alone, and so do not stand in the way of a group's other user. */
    private static final Set<String> HARMLESS = Set.of("pci-stub", "pcieport");

    private final Machine machine;
    private final Map<String, PciFunction> functions = new TreeMap<>();
    private final Map<Integer, IommuGroup> groups = new TreeMap<>();
    private final Map<IommuGroup, VfioGroup> vfioGroups = new LinkedHashMap<>();

    PciBus(Machine machine, List<MockDevice> devices) {
        this.machine = machine;
        devices.stream().filter(device -> device.group() != null).forEach(this::add);
        devices.stream().filter(device -> device.group() == null).forEach(this::add);
        // Those with a name of their own first, so that no other takes it.
        devices.stream().filter(device -> device.vfioIndex() != null).forEach(this::bindAtStart);
        devices.stream().filter(device -> device.vfioIndex() == null).forEach(this::bindAtStart);
    }

    private void add(MockDevice device) {
        functions.put(device.address(),
                new PciFunction(machine, device, machine.iommu().present() ? group(device) : null));
    }

    private IommuGroup group(MockDevice device) {
        int number = device.group() == null ? lowestFree(groups.keySet()) : device.group();
        return groups.computeIfAbsent(number, IommuGroup::new);
    }

    private static int lowestFree(Collection<Integer> used) {
        int number = 0;
        while (used.contains(number)) {
            number++;
        }
        return number;
    }

    private void bindAtStart(MockDevice device) {
        boolean impossible = !machine.iommu().present() && MockHost.VFIO_DRIVER.equals(device.driver());
        if (device.driver() != null && !impossible) {
            bind(functions.get(device.address()), device.driver());
        }
    }

    Collection<PciFunction> functions() {
        return functions.values();
    }

    Collection<IommuGroup> groups() {
        return groups.values();
    }

    Collection<VfioGroup> vfioGroups() {
        return vfioGroups.values();
    }

    /** The device at an address, or null. */
    PciFunction function(String address) {
        return functions.get(address);
    }

    List<VfioDevice> vfioDevices() {
        return functions.values().stream().map(PciFunction::vfio).filter(Objects::nonNull).toList();
    }

    void bind(PciFunction function, String driver) {
        if (driver.equals(MockHost.VFIO_DRIVER)) {
            Refusal.when(function.group() == null, EINVAL);
            register(function);
        } else if (function.group() != null && !HARMLESS.contains(driver)) {
            function.group().useByHost();
        }
        function.setDriver(driver);
    }

    private void register(PciFunction function) {
        VfioGroup group = vfioGroups.computeIfAbsent(function.group(), found -> new VfioGroup(machine, found));
        Integer wanted = function.description().vfioIndex();
        List<Integer> used = vfioDevices().stream().map(VfioDevice::index).toList();
        int index = wanted == null || used.contains(wanted) ? lowestFree(used) : wanted;
        VfioDevice device = new VfioDevice(function, group, index);
        group.devices().add(device);
        function.setVfio(device);
    }

    void unbind(PciFunction function) {
        if (function.vfio() != null) {
            unregister(function.vfio());
        } else if (function.group() != null && !HARMLESS.contains(function.driver())) {
            function.group().release();
        }
        function.setDriver(null);
    }

    private void unregister(VfioDevice device) {
        if (device.hasFiles()) {
            throw new NotModelledException("taking the driver from " + device.function() + ", which is in use and would"
                    + " make the caller wait until it is closed,");
        }
        VfioGroup group = device.group();
        group.devices().remove(device);
        if (group.devices().isEmpty()) {
            vfioGroups.remove(group.iommuGroup());
            group.die();
        }
        device.function().setVfio(null);
        machine.remove(device);
    }

    /** What a write to {@code unbind} of a driver does. */
    void unbindBySysfs(String address, String driver) {
        PciFunction function = functions.get(address);
        Refusal.when(function == null || !driver.equals(function.driver()), ENODEV);
        unbind(function);
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
    private static String match(PciFunction function) {
        if (function.driverOverride() != null) {
            return function.driverOverride();
        }
        String own = function.description().driver();
        return MockHost.VFIO_DRIVER.equals(own) ? null : own;
    }
}
