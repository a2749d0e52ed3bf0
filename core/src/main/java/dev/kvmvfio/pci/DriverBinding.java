package dev.kvmvfio.pci;

import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.KernelException;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Which driver has a device, and which one its {@code driver_override} asks for. Giving a device to another driver
 * answers with the binding that it had, and {@link #restore} brings that back. All of it needs root.
 *
 * {@snippet :
 * PciDevice device = PciDevice.find("0000:6a:01.0");
 * DriverBinding before = DriverBinding.bind(device, "vfio-pci");
 * // attach it, detach it
 * before.restore();
 * }
 *
 * <p><b>Thread-safety:</b> immutable; two threads that bind one device at a time disturb each other.
 *
 * @param device the device
 * @param driver the driver that has it; empty when none has
 * @param override the only driver that may take it; empty when any that suits it may
 */
public record DriverBinding(PciDevice device, Optional<String> driver, Optional<String> override) {
    private static final String DRIVERS = "/sys/bus/pci/drivers/";
    private static final String NO_OVERRIDE = "(null)";
    private static final Pattern NAME = Pattern.compile("(?!\\.\\.?$)[^/\\p{Cntrl}]+");

    /**
     * Checks that drivers have names.
     *
     * @throws IllegalArgumentException when one is no name, such as a path
     */
    public DriverBinding {
        driver.ifPresent(DriverBinding::requireName);
        override.ifPresent(DriverBinding::requireName);
    }

    private static void requireName(String driver) {
        if (!NAME.matcher(driver).matches()) {
            throw new IllegalArgumentException("\"" + driver + "\" is no name of a driver");
        }
    }

    /**
     * The binding that a device has now.
     *
     * @param device the device
     * @return what sysfs says
     * @throws KernelException when sysfs cannot be read
     */
    public static DriverBinding of(PciDevice device) {
        return new DriverBinding(device, device.driver(),
                SystemFiles.text(device.kernel(), device.path("driver_override"))
                        .filter(name -> !name.isEmpty() && !name.equals(NO_OVERRIDE)));
    }

    /**
     * Binds a device that the host does not use to a driver, and to no other from then on: all steps or none.
     *
     * @param device the device
     * @param driver such as {@code vfio-pci}; it must be loaded
     * @return the binding that the device had
     * @throws IllegalArgumentException when the driver's name is none, such as a path
     * @throws HostException when the host uses the device, has no IOMMU, or has no such driver, or it is a bridge
     * @throws KernelException when a step is refused; those before it were undone
     */
    public static DriverBinding bind(PciDevice device, String driver) {
        requireUnused(device, "End that first");
        return bindByForce(device, driver);
    }

    /**
     * Binds a device to a driver even if the host uses it, which can cost data, the network or the screen.
     *
     * @param device the device
     * @param driver such as {@code vfio-pci}; it must be loaded
     * @return the binding that the device had
     * @throws IllegalArgumentException when the driver's name is none, such as a path
     * @throws HostException when the host has no IOMMU, or has no such driver, or it is a bridge
     * @throws KernelException when a step is refused; those before it were undone
     */
    public static DriverBinding bindByForce(PciDevice device, String driver) {
        DriverBinding after = new DriverBinding(device, Optional.of(driver), Optional.of(driver));
        DriverBinding before = of(device);
        device.requireIommu();
        if (device.isBridge()) {
            throw new HostException(device + " is a bridge, which " + driver + " does not take",
                    "Give away the devices behind it");
        }
        if (!SystemFiles.exists(device.kernel(), DRIVERS + driver)) {
            throw new HostException("the driver " + driver + " for " + device + " is not loaded",
                    "As root: modprobe " + driver);
        }
        after.establish(before);
        return before;
    }

    /**
     * Lets the host have a device that nobody uses: takes it from its driver, ends the override, and lets the driver
     * take it that suits it.
     *
     * @param device the device
     * @return the binding that the device has then
     * @throws HostException when the device is in use
     * @throws KernelException when a step is refused; those before it were undone
     */
    public static DriverBinding unbind(PciDevice device) {
        requireUnused(device, "End that first");
        DriverBinding before = of(device);
        new DriverBinding(device, Optional.empty(), Optional.empty()).establish(before);
        SystemFiles.write(device.kernel(), "/sys/bus/pci/drivers_probe", device.toString());
        return of(device);
    }

    /**
     * Gives the device back to this driver, or to none, with this override: all steps or none.
     *
     * @throws HostException when the device is in use now
     * @throws KernelException when a step is refused; those before it were undone
     */
    public void restore() {
        requireUnused(device, "End that first");
        establish(of(device));
    }

    private static void requireUnused(PciDevice device, String remedy) {
        List<String> uses = device.uses();
        if (!uses.isEmpty()) {
            throw new HostException(device + " is in use: " + String.join(", ", uses), remedy);
        }
    }

    /** The override goes first, back as well: no driver takes a device that is meant for another one. */
    private void establish(DriverBinding before) {
        writeOverride();
        try {
            moveFrom(before.driver);
        } catch (RuntimeException failure) {
            attempt(before::writeOverride, failure);
            attempt(() -> before.moveFrom(device.driver()), failure);
            throw failure;
        }
    }

    private static void attempt(Runnable undo, RuntimeException failure) {
        try {
            undo.run();
        } catch (RuntimeException later) {
            failure.addSuppressed(later);
        }
    }

    private void writeOverride() {
        write(device.path("driver_override"), override.orElse("") + "\n");
    }

    private void moveFrom(Optional<String> other) {
        if (!driver.equals(other)) {
            other.ifPresent(name -> write(DRIVERS + name + "/unbind", device.toString()));
            driver.ifPresent(name -> write(DRIVERS + name + "/bind", device.toString()));
        }
    }

    private void write(String path, String text) {
        SystemFiles.write(device.kernel(), path, text);
    }

    @Override
    public String toString() {
        return device + ": " + driver.orElse("no driver")
                + override.map(name -> ", for " + name + " only").orElse("");
    }
}
