package dev.kvmvfio.mock.internal.pci;

import dev.kvmvfio.mock.internal.system.Machine;
import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;

/** A PCI device: what the hardware is, and which driver has it. */
public final class PciFunction {
    private final Machine machine;
    private final PciDescription description;
    private final IsolationGroup group;
    private final PciConfigSpace config;
    private final Map<Integer, Bar> bars = new TreeMap<>();
    private final Endpoint endpoint;
    private String driver;
    private String driverOverride;
    private PciClient client = PciClient.NONE;

    /** A device; {@code group} is null when the machine has no IOMMU. */
    PciFunction(Machine machine, PciDescription description, IsolationGroup group) {
        this.machine = machine;
        this.description = description;
        this.group = group;
        this.config = new PciConfigSpace(description);
        description.bars().forEach(bar -> bars.put(bar.index(), new Bar(bar, machine.physicalMemory())));
        this.endpoint = new Endpoint(this);
        if (group != null) {
            group.functions().add(this);
        }
    }

    public String address() {
        return description.address();
    }

    /** The domain and the bus, as an address begins with them. */
    public String busName() {
        return address().substring(0, address().lastIndexOf(':'));
    }

    /** Its folder in sysfs. */
    public String folder() {
        return "/sys/devices/pci" + busName() + "/" + address();
    }

    public PciDescription description() {
        return description;
    }

    public IsolationGroup group() {
        return group;
    }

    public PciConfigSpace config() {
        return config;
    }

    /** The BAR with an index, or null. */
    public Bar bar(int index) {
        return bars.get(index);
    }

    Collection<Bar> bars() {
        return bars.values();
    }

    public Endpoint endpoint() {
        return endpoint;
    }

    /** The driver that has this device, or null. */
    String driver() {
        return driver;
    }

    /** Who gets the device's signals. */
    PciClient client() {
        return client;
    }

    void setDriver(String name, PciClient made) {
        driver = name;
        client = made;
    }

    String driverOverride() {
        return driverOverride;
    }

    void setDriverOverride(String name) {
        driverOverride = name;
    }

    /** What {@code vfio-pci} does with the hardware at the first open. */
    public void enable() {
        config.open();
        if (description.reset()) {
            reset();
        }
    }

    public void disable() {
        config.setCommand(PciConfigSpace.BUS_MASTER, false);
    }

    public void reset() {
        endpoint.lowerIntx();
        bars.values().forEach(Bar::reset);
    }

    public Machine machine() {
        return machine;
    }

    @Override
    public String toString() {
        return address();
    }
}
