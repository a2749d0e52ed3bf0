package dev.kvmvfio.pci;

import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Devices that the IOMMU cannot tell apart. They go to one user together: all of them must be left alone by the host's
 * own drivers.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class IommuGroup {
    private static final String GROUPS = "/sys/kernel/iommu_groups";

    /** Drivers that leave a device's DMA to others; so do all VFIO drivers. */
    private static final Set<String> HARMLESS = Set.of("pcieport", "pci-stub", "shpchp");

    private final Kernel kernel;
    private final int number;

    IommuGroup(Kernel kernel, int number) {
        this.kernel = kernel;
        this.number = number;
    }

    /** One whose number the kernel says as the name of something. */
    static IommuGroup named(Kernel kernel, String operation, String path, String name) {
        return new IommuGroup(kernel, (int) SystemFiles.number(operation, path, name, Integer.MAX_VALUE));
    }

    /**
     * All groups of a host.
     *
     * @param kernel where to look
     * @return in the order of their numbers; empty when no IOMMU is on
     * @throws KernelException when sysfs cannot be read
     * @throws AnswerException when the name of one is no number
     */
    public static List<IommuGroup> list(Kernel kernel) {
        return SystemFiles.names(kernel, GROUPS).stream().map(name -> named(kernel, "readdir", GROUPS, name))
                .sorted(Comparator.comparingInt(IommuGroup::number)).toList();
    }

    /**
     * The kernel that it is in.
     *
     * @return never null
     */
    public Kernel kernel() {
        return kernel;
    }

    /**
     * Its number, which is also the name of its node in {@code /dev/vfio}.
     *
     * @return zero or more
     */
    public int number() {
        return number;
    }

    /**
     * Its PCI devices; other members are left out.
     *
     * @return in the order of their addresses
     */
    public List<PciDevice> devices() {
        return SystemFiles.names(kernel, GROUPS + "/" + number + "/devices").stream()
                .filter(PciAddress::isAddress).map(PciAddress::parse).sorted()
                .map(address -> new PciDevice(kernel, address)).toList();
    }

    /**
     * The devices whose drivers keep this group from being used.
     *
     * @return in the order of their addresses; empty when the group is viable
     */
    public List<PciDevice> blockers() {
        return devices().stream().filter(IommuGroup::blocks).toList();
    }

    private static boolean blocks(PciDevice device) {
        return device.vfioName().isEmpty() && device.driver().filter(driver -> !HARMLESS.contains(driver)).isPresent();
    }

    /**
     * The devices, their drivers, and which of them block the group, for a message.
     *
     * @return such as {@code 0000:6a:01.0 (vfio-pci), 0000:6a:01.1 (nvme, blocks the group)}
     */
    public String describe() {
        return devices().stream().map(device -> device + " (" + device.driver().orElse("no driver")
                + (blocks(device) ? ", blocks the group" : "") + ")").collect(Collectors.joining(", "));
    }

    @Override
    public String toString() {
        return "IOMMU group " + number;
    }
}
