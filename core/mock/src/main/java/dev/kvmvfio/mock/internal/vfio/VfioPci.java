package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.mock.internal.pci.IsolationGroup;
import dev.kvmvfio.mock.internal.pci.PciBus;
import dev.kvmvfio.mock.internal.pci.PciClient;
import dev.kvmvfio.mock.internal.pci.PciDriver;
import dev.kvmvfio.mock.internal.pci.PciFunction;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.NotModelledException;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The driver {@code vfio-pci}: the devices that it has, and their groups. */
public final class VfioPci implements PciDriver {
    public static final String NAME = "vfio-pci";

    private final Machine machine;
    private final PciBus bus;
    private final Map<String, Description> described;
    private final Map<PciFunction, VfioPciDevice> devices = new LinkedHashMap<>();
    private final Map<IsolationGroup, VfioPciGroup> groups = new LinkedHashMap<>();

    /** The driver of a host, with what was described of its devices, by their addresses. */
    public VfioPci(Machine machine, PciBus bus, Map<String, Description> described) {
        this.machine = machine;
        this.bus = bus;
        this.described = described;
    }

    /**
     * What is described of a device for this driver.
     *
     * @param index the number in {@code vfioN}, or null for any that is free
     * @param needsVm whether it cannot be opened without a virtual machine
     */
    public record Description(Integer index, boolean needsVm) {
    }

    @Override
    public PciClient bind(PciFunction function) {
        Refusal.when(function.group() == null, EINVAL);
        VfioPciGroup group = groups.computeIfAbsent(function.group(), found -> new VfioPciGroup(machine, found));
        VfioPciDevice device = new VfioPciDevice(this, function, group, index(function));
        group.devices().add(device);
        devices.put(function, device);
        return device;
    }

    private int index(PciFunction function) {
        Integer wanted = description(function).index;
        List<Integer> used = devices.values().stream().map(VfioPciDevice::index).toList();
        return wanted == null || used.contains(wanted) ? PciBus.lowestFree(used) : wanted;
    }

    private Description description(PciFunction function) {
        return described.get(function.address());
    }

    boolean needsVm(PciFunction function) {
        return description(function).needsVm;
    }

    @Override
    public void unbind(PciFunction function) {
        VfioPciDevice device = devices.get(function);
        if (device.hasFiles()) {
            throw new NotModelledException("taking the driver from " + function + ", which is in use and would"
                    + " make the caller wait until it is closed,");
        }
        VfioPciGroup group = device.group();
        group.devices().remove(device);
        if (group.devices().isEmpty()) {
            groups.remove(group.iommuGroup());
            group.die();
        }
        devices.remove(function);
        machine.remove(device);
    }

    Collection<VfioPciDevice> devices() {
        return devices.values();
    }

    Collection<VfioPciGroup> groups() {
        return groups.values();
    }

    /** What this driver has made of a device, or null when it has it not. */
    VfioPciDevice device(PciFunction function) {
        return devices.get(function);
    }

    /** All that is on the bus of a device, whichever driver has it. */
    List<PciFunction> onBusOf(PciFunction function) {
        return bus.functions().stream().filter(other -> other.busName().equals(function.busName())).toList();
    }
}
