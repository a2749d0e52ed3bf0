package dev.kvmvfio.passthrough;

import dev.kvmvfio.internal.Holders;
import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.pci.IommuGroup;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.pci.PciIds;
import dev.kvmvfio.vfio.VfioCdev;
import dev.kvmvfio.vfio.VfioContainer;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Collectors;

/**
 * A PCI device of the host in the eyes of someone who wants to attach one: what it is, who has it, and whether it can
 * be attached now. Nothing is opened to find out, so that a device of another program is noticed only where the caller
 * may see the files that it has open.
 *
 * {@snippet :
 * Candidate.list(Kernel.linux()).forEach(System.out::println);
 * }
 *
 * @param address where it is
 * @param vendorId the vendor's number, 0 to 0xffff
 * @param deviceId the vendor's number for it, 0 to 0xffff
 * @param classCode base class, subclass and interface, 0 to 0xffffff
 * @param name what it is called; empty when the host has no {@code pci.ids} or it knows neither vendor nor device
 * @param driver the driver that has it; empty when none has
 * @param iommuGroup the number of its IOMMU group; empty when no IOMMU is on
 * @param cdev its node in {@code /dev/vfio/devices}; empty when there is none
 * @param obstacle the first thing that keeps it from being attached; empty when it can be
 */
public record Candidate(PciAddress address, int vendorId, int deviceId, int classCode, Optional<String> name,
        Optional<String> driver, OptionalInt iommuGroup, Optional<String> cdev, Optional<Obstacle> obstacle) {
    /**
     * All PCI devices of a host.
     *
     * @param kernel the host
     * @return in the order of their addresses
     * @throws KernelException when sysfs cannot be read
     * @throws AnswerException when it says what cannot be
     */
    public static List<Candidate> list(Kernel kernel) {
        PciIds names = PciIds.load(kernel);
        return PciDevice.list(kernel).stream().map(device -> of(device, names)).toList();
    }

    /**
     * One device.
     *
     * @param device the device
     * @return what there is to know about it
     * @throws KernelException when sysfs cannot be read
     * @throws AnswerException when it says what cannot be
     */
    public static Candidate of(PciDevice device) {
        return of(device, PciIds.load(device.kernel()));
    }

    private static Candidate of(PciDevice device, PciIds names) {
        Kernel kernel = device.kernel();
        int vendor = device.vendorId();
        int id = device.deviceId();
        return new Candidate(device.address(), vendor, id, device.classCode(), names.name(vendor, id), device.driver(),
                device.iommuGroup().stream().mapToInt(IommuGroup::number).findFirst(),
                device.vfioName().map(_ -> VfioCdev.path(device)).filter(path -> SystemFiles.exists(kernel, path)),
                obstacle(device));
    }

    /**
     * Whether {@link AttachedDevice#request} would lead to an attached device.
     *
     * @return true when there is no obstacle
     */
    public boolean isAttachable() {
        return obstacle.isEmpty();
    }

    private static Optional<Obstacle> obstacle(PciDevice device) {
        if (device.vfioName().isEmpty()) {
            return Optional.of(withoutVfioDriver(device));
        }
        IommuGroup group = device.iommuGroup()
                .orElseThrow(() -> new HostException(device + " is in no IOMMU group", ""));
        List<PciDevice> blockers = group.blockers();
        if (!blockers.isEmpty()) {
            return Optional.of(new Obstacle(
                    "its group has "
                            + blockers.stream().map(blocker -> blocker + " (" + blocker.driver().orElse("") + ")")
                                    .collect(Collectors.joining(", ")),
                    "kvm-vfio bind " + blockers.getFirst()));
        }
        String groupNode = "/dev/vfio/" + group.number();
        Optional<Obstacle> ofTheInterface = InterfaceChoice.auto(device).chosen() == VfioInterface.CDEV
                ? nodeObstacle(device.kernel(), VfioCdev.path(device), Iommufd.PATH)
                        .or(() -> interruptObstacle(device.kernel(), "iommufd"))
                : nodeObstacle(device.kernel(), groupNode, VfioContainer.PATH)
                        .or(() -> interruptObstacle(device.kernel(), "vfio_iommu_type1"));
        return ofTheInterface
                .or(() -> Holders.others(device.kernel(), List.of(VfioCdev.path(device), groupNode)).stream()
                        .findFirst().map(holder -> new Obstacle(holder, "")));
    }

    private static Obstacle withoutVfioDriver(PciDevice device) {
        if (device.isBridge()) {
            return new Obstacle("a bridge, which vfio-pci does not take", "");
        }
        if (device.iommuGroup().isEmpty()) {
            return new Obstacle("in no IOMMU group", "kvm-vfio doctor");
        }
        return new Obstacle(device.driver().map(driver -> "bound to " + driver).orElse("not bound to vfio-pci"),
                "kvm-vfio bind " + device);
    }

    private static Optional<Obstacle> nodeObstacle(Kernel kernel, String... paths) {
        for (String path : paths) {
            int result = kernel.access(path);
            if (result < 0) {
                Errno errno = Errno.of(-result);
                return Optional.of(errno == Errno.ENOENT
                        ? new Obstacle("there is no " + path, "In a container: --device " + path)
                        : new Obstacle("no permission for " + path + " (" + errno + ")",
                                new NodeRemedy(kernel).of(path, errno, "")));
            }
        }
        return Optional.empty();
    }

    private static Optional<Obstacle> interruptObstacle(Kernel kernel, String module) {
        return InterruptRemapping.of(kernel) != InterruptRemapping.OFF
                || InterruptRemapping.isUnsafeAllowed(kernel, module)
                        ? Optional.empty()
                        : Optional.of(new Obstacle("no interrupt remapping", "Switch it on in the firmware"));
    }

    @Override
    public String toString() {
        return String.format("%s %04x:%04x %s, %s, %s: %s", address, vendorId, deviceId,
                name.orElse(String.format("class %06x", classCode)), driver.orElse("no driver"),
                iommuGroup.isPresent() ? "IOMMU group " + iommuGroup.getAsInt() : "no IOMMU group",
                obstacle.map(Obstacle::reason).orElse("can be attached"));
    }
}
