package dev.kvmvfio.pci;

import dev.kvmvfio.internal.Holders;
import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.kernel.DeviceNumber;
import dev.kvmvfio.kernel.Kernel;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;

/** Looks for what the host uses a device for. */
final class DeviceUse {
    private static final int DISPLAY = 0x03;
    private static final String BLOCK = "/sys/class/block";
    private static final String NET = "/sys/class/net";

    private final Kernel kernel;
    private final PciDevice device;

    private DeviceUse(PciDevice device) {
        this.kernel = device.kernel();
        this.device = device;
    }

    static List<String> of(PciDevice device) {
        DeviceUse use = new DeviceUse(device);
        return Stream.of(use.disks(), use.network(), use.screen(), use.programs()).flatMap(List::stream).toList();
    }

    /** Whether sysfs has a thing below this device. */
    private boolean owns(String link) {
        return SystemFiles.link(kernel, link).filter(target -> (target + "/").contains("/" + device + "/")).isPresent();
    }

    private List<String> ownedOf(String folder) {
        return SystemFiles.names(kernel, folder).stream().filter(name -> owns(folder + "/" + name)).toList();
    }

    private List<String> disks() {
        Set<String> disks = new HashSet<>();
        ownedOf(BLOCK).forEach(disk -> disks.addAll(withHolders(disk)));
        // With several paths to a disk, it is below the subsystem and not below the controller.
        for (String subsystem : SystemFiles.names(kernel, "/sys/class/nvme-subsystem")) {
            String folder = "/sys/class/nvme-subsystem/" + subsystem;
            if (!ownedOf(folder).isEmpty()) {
                SystemFiles.names(kernel, BLOCK).stream().filter(
                        disk -> SystemFiles.link(kernel, BLOCK + "/" + disk).orElse("").contains("/" + subsystem + "/"))
                        .forEach(disk -> disks.addAll(withHolders(disk)));
            }
        }
        List<String> uses = new ArrayList<>();
        disks.stream().sorted().forEach(disk -> addUsesOf(disk, uses));
        return uses;
    }

    /** A volume that is made of this disk, by device mapper or RAID, is the disk's use. */
    private Set<String> withHolders(String disk) {
        return reachable(disk, BLOCK, next -> SystemFiles.names(kernel, BLOCK + "/" + next + "/holders").stream());
    }

    /** A thing of a class and what it leads to; only what is of the class leads on, so that all ways end. */
    private Set<String> reachable(String first, String folder, Function<String, Stream<String>> next) {
        Set<String> all = new HashSet<>(SystemFiles.names(kernel, folder));
        Set<String> found = new LinkedHashSet<>(List.of(first));
        Deque<String> left = new ArrayDeque<>(found);
        while (!left.isEmpty()) {
            next.apply(left.pop()).filter(found::add).filter(all::contains).forEach(left::add);
        }
        return found;
    }

    private void addUsesOf(String disk, List<String> uses) {
        String number = SystemFiles.text(kernel, BLOCK + "/" + disk + "/dev").orElse("none");
        lines("/proc/self/mountinfo").map(line -> line.split(" ")).filter(mount -> isOn(mount, number))
                .map(mount -> disk + " is mounted at " + mount[4]).forEach(uses::add);
        lines("/proc/swaps").map(line -> line.split("\\s+", 2)[0])
                .filter(path -> path.startsWith("/dev/") && number.equals(numberOf(path)))
                .map(_ -> disk + " is swap").forEach(uses::add);
    }

    /** Some file systems, such as btrfs, have a number of their own, but all name the disk behind the hyphen. */
    private boolean isOn(String[] mount, String number) {
        int hyphen = List.of(mount).indexOf("-");
        return mount.length > 4 && (mount[2].equals(number) || hyphen > 0 && hyphen + 2 < mount.length
                && mount[hyphen + 2].startsWith("/dev/") && number.equals(numberOf(mount[hyphen + 2])));
    }

    private String numberOf(String node) {
        return DeviceNumber.of(kernel.deviceNumber(node)).toString();
    }

    private Stream<String> lines(String path) {
        return SystemFiles.lines(kernel, path);
    }

    private List<String> network() {
        List<String> links = ownedOf(NET).stream().filter(this::isUp).toList();
        boolean others = SystemFiles.names(kernel, NET).stream().filter(
                link -> SystemFiles.exists(kernel, NET + "/" + link + "/device")).filter(this::isUp)
                .anyMatch(link -> !links.contains(link));
        List<String> uses = new ArrayList<>();
        for (String link : links) {
            Optional<String> routed = withUppers(link).stream().filter(this::hasDefaultRoute).findFirst();
            if (routed.isPresent()) {
                uses.add(link + " has the default route"
                        + routed.filter(upper -> !upper.equals(link)).map(upper -> " through " + upper).orElse(""));
            } else if (!others) {
                uses.add(link + " is the only network link that is up");
            }
        }
        return uses;
    }

    private boolean isUp(String link) {
        return SystemFiles.text(kernel, NET + "/" + link + "/operstate")
                .filter(Set.of("up", "unknown")::contains).isPresent();
    }

    /** The bridges, bonds and VLANs that are made of a link. */
    private Set<String> withUppers(String link) {
        return reachable(link, NET, next -> SystemFiles.names(kernel, NET + "/" + next).stream()
                .filter(name -> name.startsWith("upper_")).map(name -> name.substring("upper_".length())));
    }

    private boolean hasDefaultRoute(String link) {
        return lines("/proc/net/route").map(line -> line.split("\\s+"))
                .anyMatch(route -> route.length > 7 && route[0].equals(link) && route[1].equals("00000000")
                        && route[7].equals("00000000"))
                || lines("/proc/net/ipv6_route").map(line -> line.split("\\s+")).anyMatch(
                        route -> route.length > 9 && route[9].equals(link) && route[0].equals("0".repeat(32))
                                && route[1].equals("00"));
    }

    private List<String> screen() {
        if (device.classCode() >> 16 != DISPLAY || device.driver().isEmpty() || device.vfioName().isPresent()) {
            return List.of();
        }
        boolean shown = SystemFiles.text(kernel, device.path("boot_vga")).filter("1"::equals).isPresent()
                || ownedOf("/sys/class/drm").stream().anyMatch(connector -> SystemFiles
                        .text(kernel, "/sys/class/drm/" + connector + "/enabled").filter("enabled"::equals)
                        .isPresent());
        return shown ? List.of("the display shows its picture") : List.of();
    }

    private List<String> programs() {
        Set<String> nodes = new HashSet<>();
        device.vfioName().ifPresent(name -> nodes.add("/dev/vfio/devices/" + name));
        device.vfioName().flatMap(_ -> device.iommuGroup())
                .ifPresent(group -> nodes.add("/dev/vfio/" + group.number()));
        return Holders.of(kernel, nodes);
    }
}
