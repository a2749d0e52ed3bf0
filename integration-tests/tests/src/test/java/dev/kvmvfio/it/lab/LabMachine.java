package dev.kvmvfio.it.lab;

import dev.kvmvfio.passthrough.VfioInterface;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;

/** What the tests know of the lab's machine, in which they run. */
public final class LabMachine {
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

    private LabMachine() {
    }

    /** The property says what must work on this kernel, so that a kernel that lost an interface is no success. */
    public static Stream<VfioInterface> interfaces() {
        return Arrays.stream(System.getProperty("interfaces").split(",")).map(VfioInterface::valueOf);
    }

    /** Gives a device to another driver. */
    public static void bind(String address, String driver) {
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
