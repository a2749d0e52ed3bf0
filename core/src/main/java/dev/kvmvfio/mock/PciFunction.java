package dev.kvmvfio.mock;

import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;

/** A PCI device: what the hardware is, and which driver has it. */
final class PciFunction {
    private final Machine machine;
    private final MockDevice description;
    private final IommuGroup group;
    private final ConfigSpace config;
    private final Map<Integer, Bar> bars = new TreeMap<>();
    private final PciEndpoint endpoint;
    private String driver;
    private String driverOverride;
    private VfioDevice vfio;

    /** A device; {@code group} is null when the machine has no IOMMU. */
    PciFunction(Machine machine, MockDevice description, IommuGroup group) {
        this.machine = machine;
        this.description = description;
        this.group = group;
        this.config = new ConfigSpace(description, description.bars());
        description.bars().forEach(bar -> bars.put(bar.index(), new Bar(bar, machine.physicalMemory())));
        this.endpoint = new PciEndpoint(machine, this);
        if (group != null) {
            group.functions().add(this);
        }
    }

    String address() {
        return description.address();
    }

    /** The domain and the bus, as an address begins with them. */
    String busName() {
        return address().substring(0, address().lastIndexOf(':'));
    }

    MockDevice description() {
        return description;
    }

    IommuGroup group() {
        return group;
    }

    ConfigSpace config() {
        return config;
    }

    /** The BAR with an index, or null. */
    Bar bar(int index) {
        return bars.get(index);
    }

    Collection<Bar> bars() {
        return bars.values();
    }

    PciEndpoint endpoint() {
        return endpoint;
    }

    /** The driver that has this device, or null. */
    String driver() {
        return driver;
    }

    void setDriver(String name) {
        driver = name;
    }

    String driverOverride() {
        return driverOverride;
    }

    void setDriverOverride(String name) {
        driverOverride = name;
    }

    /** What VFIO has made of this device, or null while no VFIO driver has it. */
    VfioDevice vfio() {
        return vfio;
    }

    void setVfio(VfioDevice device) {
        vfio = device;
    }

    /** What {@code vfio-pci} does with the hardware at the first open. */
    void enable() {
        config.open(description.bars());
        if (description.hasReset()) {
            reset();
        }
    }

    void disable() {
        config.setCommand(ConfigSpace.BUS_MASTER, false);
    }

    void reset() {
        endpoint.lowerIntx();
        bars.values().forEach(Bar::reset);
    }

    Machine machine() {
        return machine;
    }

    @Override
    public String toString() {
        return address();
    }
}
