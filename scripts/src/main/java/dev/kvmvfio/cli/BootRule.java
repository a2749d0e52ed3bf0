package dev.kvmvfio.cli;

import dev.kvmvfio.pci.PciDevice;
import java.nio.file.Path;
import java.util.Locale;

/**
 * A rule of udev that gives a device to a driver when the machine boots. It names the device's IDs too, so that another
 * device that comes to the same address is left alone.
 */
record BootRule(HostFiles files) {
    static final BootRule OF_THE_HOST = new BootRule(new HostFiles(Path.of("/etc/udev/rules.d")));

    private static final String RULE = """
            # Written by kvm-vfio bind --persist; kvm-vfio unbind removes it.
            ACTION=="add", SUBSYSTEM=="pci", KERNEL=="%s", ATTR{vendor}=="0x%04x", ATTR{device}=="0x%04x", \
            ATTR{driver_override}="%s", RUN{builtin}+="kmod load %4$s", \
            RUN+="/bin/sh -c 'echo %1$s > /sys/bus/pci/drivers_probe'"
            """;

    private static String file(PciDevice device) {
        return "60-kvm-vfio-" + device + ".rules";
    }

    void write(PciDevice device, String driver) {
        files.write(file(device),
                String.format(Locale.ROOT, RULE, device, device.vendorId(), device.deviceId(), driver));
    }

    /** Whether there was one. */
    boolean remove(PciDevice device) {
        return files.delete(file(device));
    }
}
