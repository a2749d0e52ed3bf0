package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;

import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset_info;
import java.lang.foreign.MemorySegment;

/** The reset of a whole bus. The devices here sit on the root bus, which cannot be reset. */
record HotReset(VfioDevice device) {

    long getInfo(Argument argument) {
        MemorySegment info = argument.read(0, vfio_pci_hot_reset_info.devices$offset());
        Refusal.when(Integer.compareUnsigned(vfio_pci_hot_reset_info.argsz(info), (int) info.byteSize()) < 0, EINVAL);
        throw Refusal.of(ENODEV);
    }

    long reset(Argument argument) {
        MemorySegment reset = argument.read(0, vfio_pci_hot_reset.group_fds$offset());
        Refusal.when(Integer.compareUnsigned(vfio_pci_hot_reset.argsz(reset), (int) reset.byteSize()) < 0
                || vfio_pci_hot_reset.flags(reset) != 0, EINVAL);
        Refusal.when((vfio_pci_hot_reset.count(reset) != 0) == device.isOpenedByCdev(), EINVAL);
        throw Refusal.of(ENODEV);
    }
}
