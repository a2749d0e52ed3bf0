package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.pci.IommuGroup;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.commons.cli.ParseException;

/**
 * Finds the devices that a person means: by an address in any form, by a path that leads to one, or by what the host calls
 * it, such as {@code eth1}.
 */
public final class DeviceNames {
    private static final String ADDRESS = "(?:[0-9a-fA-F]{4,8}[:_])?[0-9a-fA-F]{2}[:_][01][0-9a-fA-F][._][0-7]";
    /** libvirt writes {@code pci_0000_6a_01_0}, udev {@code pci-0000:6a:01.0}. */
    private static final Pattern NAMED = Pattern.compile("(?:pci[_:-])?(" + ADDRESS + ")");
    private static final Pattern IN_PATH = Pattern.compile("(?<=/)" + ADDRESS + "(?=/|$)");
    private static final Pattern GROUP = Pattern.compile("/dev/vfio/(?:noiommu-)?(\\d+)");
    private static final Pattern NAME = Pattern.compile("(?!\\.\\.?$)[^/]+");
    private static final String CLASSES = "/sys/class";

    private final Kernel kernel;

    private DeviceNames(Kernel kernel) {
        this.kernel = kernel;
    }

    /**
     * Finds devices.
     *
     * @param kernel the host
     * @param names what they are called
     * @return in the order of the names; a group's node stands for all that can be given away of it
     * @throws ParseException when a name leads to no PCI device
     */
    static List<PciDevice> find(Kernel kernel, List<String> names) throws ParseException {
        DeviceNames search = new DeviceNames(kernel);
        List<PciDevice> found = new ArrayList<>();
        for (String name : names) {
            List<PciDevice> devices = search.find(name);
            if (devices.isEmpty()) {
                throw new ParseException(
                        "\"" + name + "\" is no PCI address, and leads to no PCI device: write it like "
                                + "0000:6a:01.0, eth1 or vfio0, or as a path; kvm-vfio list shows them");
            }
            devices.stream().filter(device -> !found.contains(device)).forEach(found::add);
        }
        return found.stream().distinct().toList();
    }

    /**
     * Finds a device.
     *
     * @param kernel the host
     * @param name what it is called
     * @return the device
     * @throws IllegalArgumentException when the name leads to no PCI device, or to several
     */
    public static PciDevice findOne(Kernel kernel, String name) {
        try {
            List<PciDevice> found = find(kernel, List.of(name));
            if (found.size() == 1) {
                return found.getFirst();
            }
            throw new IllegalArgumentException(name + " stands for " + found.size() + " devices: " + found);
        } catch (ParseException unknown) {
            throw new IllegalArgumentException(unknown.getMessage(), unknown);
        }
    }

    /** The devices, with all others of their groups that can be given away. */
    static List<PciDevice> withGroups(List<PciDevice> devices) {
        return devices.stream().flatMap(device -> Stream.concat(Stream.of(device),
                device.iommuGroup().stream().flatMap(DeviceNames::devices))).map(PciDevice::address).distinct().sorted()
                .map(address -> PciDevice.find(devices.getFirst().kernel(), address)).toList();
    }

    private static Stream<PciDevice> devices(IommuGroup group) {
        return group.devices().stream().filter(device -> !device.isBridge());
    }

    private List<PciDevice> find(String name) {
        var address = NAMED.matcher(name);
        if (address.matches()) {
            return List.of(device(address.group(1)));
        }
        var group = GROUP.matcher(name);
        if (group.matches()) {
            return IommuGroup.list(kernel).stream()
                    .filter(each -> Integer.toString(each.number()).equals(group.group(1)))
                    .flatMap(DeviceNames::devices).toList();
        }
        if (name.contains("/") && !name.startsWith("/")) {
            return List.of();
        }
        Optional<PciDevice> inPath = lastAddress(name).map(this::device);
        return inPath.or(() -> Stream.of(name.split("/")).filter(NAME.asMatchPredicate()).toList().reversed().stream()
                .flatMap(part -> named(part).stream()).findFirst()).stream().toList();
    }

    /** A device behind bridges has their addresses before its own. */
    private static Optional<String> lastAddress(String path) {
        return IN_PATH.matcher(path).results().map(MatchResult::group).reduce((_, last) -> last);
    }

    private PciDevice device(String address) {
        StringBuilder usual = new StringBuilder(address.replace('_', ':'));
        usual.setCharAt(usual.length() - 2, '.');
        return PciDevice.find(kernel, PciAddress.parse(usual.toString()));
    }

    /** What VFIO or another part of the kernel calls it. */
    private Optional<PciDevice> named(String name) {
        return PciDevice.list(kernel).stream().filter(device -> device.vfioName().filter(name::equals).isPresent())
                .findFirst().or(() -> listed(CLASSES).stream().map(type -> CLASSES + "/" + type + "/" + name)
                        .flatMap(link -> lastAddress(target(link)).stream()).findFirst().map(this::device));
    }

    private List<String> listed(String folder) {
        List<String> names = new ArrayList<>();
        kernel.list(folder, names);
        return names.stream().sorted().toList();
    }

    private String target(String link) {
        StringBuilder target = new StringBuilder();
        return kernel.readlink(link, target) < 0 ? "" : target.toString();
    }
}
