package dev.kvmvfio.passthrough;

import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.VfioCdev;
import java.util.Locale;

/**
 * Which interface a device is attached by, and why.
 *
 * @param chosen the interface
 * @param reason a few words for people
 */
public record InterfaceChoice(VfioInterface chosen, String reason) {
    /**
     * Chooses for a device: its cdev where the kernel has cdevs and iommufd, otherwise its group.
     *
     * @param device a device that a VFIO driver has
     * @return the choice
     * @throws HostException when no VFIO driver has the device
     */
    public static InterfaceChoice auto(PciDevice device) {
        device.requireVfioDriver();
        String cdev = VfioCdev.path(device);
        if (isMissing(device.kernel(), cdev)) {
            return new InterfaceChoice(VfioInterface.GROUP, "there is no " + cdev);
        }
        if (isMissing(device.kernel(), Iommufd.PATH)) {
            return new InterfaceChoice(VfioInterface.GROUP, "there is no " + Iommufd.PATH);
        }
        return new InterfaceChoice(VfioInterface.CDEV, cdev + " and " + Iommufd.PATH + " are there");
    }

    private static boolean isMissing(Kernel kernel, String path) {
        return kernel.deviceNumber(path) <= 0;
    }

    @Override
    public String toString() {
        return chosen.name().toLowerCase(Locale.ROOT) + " (" + reason + ")";
    }
}
