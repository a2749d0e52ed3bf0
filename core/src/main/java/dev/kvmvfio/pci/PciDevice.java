package dev.kvmvfio.pci;

import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.DeviceNumber;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import java.util.List;
import java.util.Optional;

/**
 * A PCI device as {@code /sys/bus/pci/devices} shows it. Every question is answered by reading there anew, because
 * drivers come and go.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class PciDevice {
    private static final int BRIDGE = 0x06;
    private static final String DEVICES = "/sys/bus/pci/devices";

    private final Kernel kernel;
    private final PciAddress address;

    PciDevice(Kernel kernel, PciAddress address) {
        this.kernel = kernel;
        this.address = address;
    }

    /**
     * Finds a device of the running Linux.
     *
     * @param address as {@code 0000:6a:01.0}
     * @return the device
     * @throws IllegalArgumentException when the text is no PCI address
     * @throws HostException when there is no such device
     */
    public static PciDevice find(String address) {
        return find(Kernel.linux(), PciAddress.parse(address));
    }

    /**
     * Finds a device.
     *
     * @param kernel where to look
     * @param address where it is
     * @return the device
     * @throws HostException when there is no such device
     */
    public static PciDevice find(Kernel kernel, PciAddress address) {
        PciDevice device = new PciDevice(kernel, address);
        if (SystemFiles.text(kernel, device.path("vendor")).isEmpty()) {
            throw new HostException("there is no PCI device at " + address,
                    "kvm-vfio list shows the devices of this host");
        }
        return device;
    }

    /**
     * All devices of a host.
     *
     * @param kernel where to look
     * @return in the order of their addresses
     * @throws KernelException when sysfs cannot be read
     * @throws AnswerException when the name of one is no address
     */
    public static List<PciDevice> list(Kernel kernel) {
        return SystemFiles.names(kernel, DEVICES).stream()
                .map(name -> SystemFiles.parse("readdir", DEVICES, name, "PCI address", PciAddress::parse)).sorted()
                .map(address -> new PciDevice(kernel, address)).toList();
    }

    String path(String name) {
        return DEVICES + "/" + address + "/" + name;
    }

    /**
     * The kernel that it was found in.
     *
     * @return never null
     */
    public Kernel kernel() {
        return kernel;
    }

    /**
     * Where it is.
     *
     * @return its address
     */
    public PciAddress address() {
        return address;
    }

    /**
     * Who made it.
     *
     * @return the vendor's number, 0 to 0xffff
     * @throws HostException when the device is gone
     * @throws AnswerException when sysfs has no such number
     */
    public int vendorId() {
        return number("vendor", 0xffff);
    }

    /**
     * What it is.
     *
     * @return the vendor's number for it, 0 to 0xffff
     * @throws HostException when the device is gone
     * @throws AnswerException when sysfs has no such number
     */
    public int deviceId() {
        return number("device", 0xffff);
    }

    /**
     * What it is for.
     *
     * @return base class, subclass and interface, 0 to 0xffffff
     * @throws HostException when the device is gone
     * @throws AnswerException when sysfs has no such number
     */
    public int classCode() {
        return number("class", 0xff_ffff);
    }

    /**
     * Whether it is a bridge, to another bus or of the host itself, which is no device to be given away.
     *
     * @return what its class says
     * @throws HostException when the device is gone
     * @throws AnswerException when sysfs has no such number
     */
    public boolean isBridge() {
        return classCode() >> 16 == BRIDGE;
    }

    private int number(String name, int most) {
        return SystemFiles.number(kernel, path(name), most)
                .orElseThrow(() -> new HostException(address + " is gone", ""))
                .intValue();
    }

    /**
     * The driver that has it.
     *
     * @return such as {@code vfio-pci}; empty when none has it
     */
    public Optional<String> driver() {
        return SystemFiles.linkName(kernel, path("driver"));
    }

    /**
     * The devices that the IOMMU cannot tell from this one, and this one.
     *
     * @return the group; empty when no IOMMU is on
     * @throws KernelException when sysfs cannot be read
     * @throws AnswerException when the group's name is no number
     */
    public Optional<IommuGroup> iommuGroup() {
        String link = path("iommu_group");
        return SystemFiles.linkName(kernel, link).map(name -> IommuGroup.named(kernel, "readlink", link, name));
    }

    /**
     * The name that VFIO has for this device: the only one in the folder {@code vfio-dev}. Kernels before 6.6 and
     * those without {@code CONFIG_VFIO_DEVICE_CDEV} may have the name without the node in {@code /dev}.
     *
     * @return such as {@code vfio0}; empty when no VFIO driver has this device
     */
    public Optional<String> vfioName() {
        return SystemFiles.names(kernel, path("vfio-dev")).stream().findFirst();
    }

    /**
     * The device number that the node of {@link #vfioName} must have.
     *
     * @return as sysfs has it; empty when there is none
     * @throws KernelException when sysfs cannot be read
     * @throws AnswerException when it has no such number
     */
    public Optional<DeviceNumber> vfioDeviceNumber() {
        return vfioName().map(name -> path("vfio-dev/" + name + "/dev"))
                .flatMap(path -> SystemFiles.text(kernel, path)
                        .map(text -> SystemFiles.parse("read", path, text, "device number", DeviceNumber::parse)));
    }

    /**
     * What the host uses this device for: mounted file systems and swap on its disks, the way to the network, the
     * screen, or a program that has it open through VFIO. Other uses, such as a disk that a database reads directly, stay
     * unseen, and so do programs whose open files the caller may not see.
     *
     * @return a few words for each, such as {@code nvme0n1p2 is mounted at /}; empty when nothing is known to use it
     * @throws KernelException when the host's files cannot be read
     */
    public List<String> uses() {
        return DeviceUse.of(this);
    }

    /**
     * Makes sure that a VFIO driver has this device.
     *
     * @throws HostException when another driver or none has it, or the host has no IOMMU; the message says what to do
     * @throws KernelException when sysfs cannot be read
     */
    public void requireVfioDriver() {
        if (vfioName().isPresent()) {
            return;
        }
        requireIommu();
        Optional<String> driver = driver();
        throw new HostException(address + " is bound to " + driver.map(name -> "the driver " + name).orElse("no driver")
                + ", not to vfio-pci",
                "As root: kvm-vfio bind " + address
                        + ", or DriverBinding.bind; both refuse a device that the host uses");
    }

    void requireIommu() {
        if (IommuGroup.list(kernel).isEmpty()) {
            throw new HostException("this host has no IOMMU that is switched on, so " + address
                    + " cannot be given to anyone",
                    "Switch it on in the firmware (VT-d, AMD-Vi or SMMU), and on Intel add "
                            + "intel_iommu=on to the kernel's command line");
        }
    }

    @Override
    public String toString() {
        return address.toString();
    }
}
