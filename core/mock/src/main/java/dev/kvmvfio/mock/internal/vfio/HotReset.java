package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;
import static dev.kvmvfio.kernel.Errno.ENOSPC;
import static dev.kvmvfio.kernel.Errno.EPERM;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_pci_dependent_device;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset_info;
import dev.kvmvfio.mock.internal.iommufd.IommufdFile;
import dev.kvmvfio.mock.internal.iommufd.IommufdPciDevice;
import dev.kvmvfio.mock.internal.pci.PciFunction;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.OpenFile;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/** The reset of a whole bus behind a bridge, which one program must own all devices of. */
final class HotReset {
    private static final long LIST = vfio_pci_hot_reset_info.devices$offset();

    private final Machine machine;
    private final VfioPciDevice device;
    private final List<PciFunction> bus;

    HotReset(VfioPciDevice device) {
        this.machine = device.function().machine();
        this.device = device;
        this.bus = device.driver().onBusOf(device.function());
    }

    private void requireBridge() {
        Refusal.when(!device.function().description().behindBridge(), ENODEV);
    }

    long getInfo(Argument argument) {
        MemorySegment info = argument.read(0, LIST);
        long argsz = Integer.toUnsignedLong(vfio_pci_hot_reset_info.argsz(info));
        Refusal.when(argsz < LIST, EINVAL);
        requireBridge();
        vfio_pci_hot_reset_info.count(info, bus.size());
        vfio_pci_hot_reset_info.flags(info, 0);
        if (bus.size() > (argsz - LIST) / vfio_pci_dependent_device.sizeof()) {
            argument.write(0, info);
            throw Refusal.of(ENOSPC);
        }
        List<MemorySegment> entries = bus.stream().map(this::describe).toList();
        for (int i = 0; i < entries.size(); i++) {
            argument.write(LIST + i * vfio_pci_dependent_device.sizeof(), entries.get(i));
        }
        vfio_pci_hot_reset_info.flags(info, flags(entries));
        argument.write(0, info);
        return 0;
    }

    private int flags(List<MemorySegment> entries) {
        if (!device.isOpenedByCdev()) {
            return 0;
        }
        boolean owned = entries.stream()
                .noneMatch(entry -> vfio_pci_dependent_device.devid(entry) == vfio_h.VFIO_PCI_DEVID_NOT_OWNED());
        return vfio_h.VFIO_PCI_HOT_RESET_FLAG_DEV_ID()
                | (owned ? vfio_h.VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED() : 0);
    }

    private MemorySegment describe(PciFunction function) {
        String[] address = function.address().split("[:.]");
        MemorySegment entry = Argument.allocate(vfio_pci_dependent_device.sizeof());
        vfio_pci_dependent_device.segment(entry, (short) Integer.parseInt(address[0], 16));
        vfio_pci_dependent_device.bus(entry, (byte) Integer.parseInt(address[1], 16));
        vfio_pci_dependent_device.devfn(entry,
                (byte) (Integer.parseInt(address[2], 16) << 3 | Integer.parseInt(address[3], 16)));
        if (device.isOpenedByCdev()) {
            vfio_pci_dependent_device.devid(entry, owner(function));
        } else {
            Refusal.when(function.group() == null, EPERM);
            vfio_pci_dependent_device.group_id(entry, function.group().number());
        }
        return entry;
    }

    /** What a device is to the program that opened this one by its own node. */
    private int owner(PciFunction function) {
        IommufdFile owner = device.iommufdDevice().file();
        VfioPciDevice other = device.driver().device(function);
        if (other == null) {
            return vfio_h.VFIO_PCI_DEVID_NOT_OWNED();
        }
        IommufdPciDevice bound = other.iommufdDevice();
        if (bound != null && bound.file() == owner) {
            return bound.id();
        }
        return owner.hasGroup(function.group()) ? vfio_h.VFIO_PCI_DEVID_OWNED() : vfio_h.VFIO_PCI_DEVID_NOT_OWNED();
    }

    long reset(Argument argument) {
        MemorySegment reset = argument.read(0, vfio_pci_hot_reset.group_fds$offset());
        int count = vfio_pci_hot_reset.count(reset);
        boolean wrongKind = (count != 0) == device.isOpenedByCdev();
        Refusal.when(Integer.compareUnsigned(vfio_pci_hot_reset.argsz(reset), (int) reset.byteSize()) < 0
                || vfio_pci_hot_reset.flags(reset) != 0, EINVAL);
        // Older kernels look at the bus first.
        Refusal.when(machine.profile().hasCdev() && wrongKind, EINVAL);
        requireBridge();
        Refusal.when(wrongKind, EINVAL);
        if (count == 0) {
            reset(other -> owner(other.function()) != vfio_h.VFIO_PCI_DEVID_NOT_OWNED());
        } else {
            List<VfioPciGroup> groups = groups(argument, count);
            reset(other -> groups.contains(other.group()));
        }
        return 0;
    }

    private List<VfioPciGroup> groups(Argument argument, int count) {
        Refusal.when(Integer.compareUnsigned(count, bus.size()) > 0, EINVAL);
        MemorySegment fds = argument.read(vfio_pci_hot_reset.group_fds$offset(), (long) count * Integer.BYTES);
        List<VfioPciGroup> groups = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            OpenFile file = machine.files().get(fds.getAtIndex(ValueLayout.JAVA_INT, i));
            if (!(file instanceof GroupFile group)) {
                throw Refusal.of(EINVAL);
            }
            groups.add(group.group());
        }
        return groups;
    }

    private void reset(Predicate<VfioPciDevice> owned) {
        for (PciFunction function : bus) {
            VfioPciDevice other = device.driver().device(function);
            Refusal.when(other == null || !owned.test(other), EINVAL);
        }
        bus.forEach(PciFunction::reset);
    }
}
