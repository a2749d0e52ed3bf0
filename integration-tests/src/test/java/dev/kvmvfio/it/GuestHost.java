package dev.kvmvfio.it;

import dev.kvmvfio.passthrough.VfioInterface;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** What the tests know of the machine that they run in. */
public final class GuestHost {
    /** An edu device in a group of its own. */
    public static final String EDU = "0000:00:05.0";
    /** An NVMe disk, which can be reset. */
    public static final String NVME = "0000:00:08.0";
    /** A network card, whose network answers at 10.0.2.2. */
    public static final String NETWORK = "0000:00:07.0";
    /** An edu device that shares its group. */
    public static final String SHARED_EDU = "0000:02:01.0";
    /** The device that it shares its group with. */
    public static final String SIBLING = "0000:02:02.0";
    /** A device that no driver has. */
    public static final String UNBOUND = "0000:00:06.0";

    private static final Pattern HELD = Pattern.compile(
            "/dev/(kvm|vfio|iommu).*|anon_inode:.*(kvm|vfio|iommu|eventfd).*|/memfd:guest.*");

    private GuestHost() {
    }

    /** The property says what must work on this kernel, so that a kernel that lost an interface is no success. */
    public static Stream<VfioInterface> interfaces() {
        return Arrays.stream(System.getProperty("interfaces").split(",")).map(VfioInterface::valueOf);
    }

    /** What this process has open and mapped of KVM, VFIO and iommufd, its eventfds and the memory of its guests. */
    public static List<String> held() {
        try (Stream<Path> files = Files.list(Path.of("/proc/self/fd"));
                Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
            return Stream.concat(files.map(GuestHost::target), maps.map(map -> map.split(" +", 6)[5]))
                    .filter(name -> HELD.matcher(name).matches()).sorted().toList();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    private static String target(Path link) {
        try {
            return Files.readSymbolicLink(link).toString();
        } catch (IOException closedMeanwhile) {
            return "";
        }
    }

    /** Gives a device to another driver. */
    static void bind(String address, String driver) {
        Path device = Path.of("/sys/bus/pci/devices", address);
        write(device.resolve("driver_override"), driver);
        if (Files.exists(device.resolve("driver"))) {
            write(device.resolve("driver/unbind"), address);
        }
        write(Path.of("/sys/bus/pci/drivers_probe"), address);
    }

    private static void write(Path file, String text) {
        try {
            Files.writeString(file, text);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
