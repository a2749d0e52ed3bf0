package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_device_bind_iommufd;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.internal.Holders;
import dev.kvmvfio.internal.DeviceNode;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.OneKernel;
import dev.kvmvfio.internal.Remedy;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.DeviceNumber;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.pci.PciDevice;
import java.lang.foreign.MemorySegment;

/**
 * A device's own file, {@code /dev/vfio/devices/vfioX}, opened and no more: nothing can be done to the device before it
 * is bound to an iommufd. Needs Linux 6.6 built with {@code CONFIG_VFIO_DEVICE_CDEV}.
 *
 * <p>A device for a VM is registered with {@link KvmVfioDevice#add(VfioCdev)} first, and bound through what that
 * returns. A binding lasts until the file is closed, so closing the bound device closes this too.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class VfioCdev extends VfioFile {
    private static final String FOLDER = "/dev/vfio/devices/";
    private static final DeviceNumber NO_DEVICE = new DeviceNumber(0, 0);
    private static final Ioctl BIND_IOMMUFD = new Ioctl("VFIO_DEVICE_BIND_IOMMUFD", vfio_h.VFIO_DEVICE_BIND_IOMMUFD());
    /** What Linux 6.6 knew of the struct; every later kernel takes that much. */
    private static final int BIND_SIZE = 16;

    private final PciDevice device;
    private volatile boolean bound;

    private VfioCdev(FileDescriptor fd, PciDevice device) {
        super(fd);
        this.device = device;
    }

    /**
     * Opens a device's cdev, after a check that the node is the one that sysfs means.
     *
     * @param device the device, bound to vfio-pci or another VFIO driver
     * @return the open file, owned by the caller
     * @throws HostException when no VFIO driver has the device, or the node is of another device
     * @throws KernelException when it cannot be opened; {@code ENOENT} when the kernel has no cdevs
     */
    public static VfioCdev open(PciDevice device) {
        device.requireVfioDriver();
        Kernel kernel = device.kernel();
        String path = path(device);
        FileDescriptor fd = DeviceNode.open(kernel, path, VfioCdev::openRemedy);
        return Lifecycle.complete(Lifecycle.root(new VfioCdev(fd, device), fd),
                _ -> checkNode(device, path, kernel.deviceNumber(path)));
    }

    /**
     * Where a device's cdev would be.
     *
     * @param device a device that a VFIO driver has
     * @return the node's path, whether it exists or not
     * @throws HostException when no VFIO driver has it, or the kernel has no cdevs
     */
    public static String path(PciDevice device) {
        return FOLDER + device.vfioName().orElseThrow(() -> new HostException(device + " has no cdev", ""));
    }

    private static void checkNode(PciDevice device, String path, long answer) {
        if (answer < 0) {
            throw new KernelException("stat", path, answer);
        }
        DeviceNumber number = DeviceNumber.of(answer);
        DeviceNumber expected = device.vfioDeviceNumber().orElse(NO_DEVICE);
        if (!number.equals(expected)) {
            throw new HostException(path + " is the node " + number + ", but " + device + " has the cdev " + expected,
                    "The node is stale: remove it, and let devtmpfs or udev make a new one");
        }
    }

    private static String openRemedy(Errno errno) {
        return switch (errno) {
            case ENOENT -> "The kernel needs CONFIG_VFIO_DEVICE_CDEV (Linux 6.6 or later); without it use the group "
                    + "interface. A container needs --device with this path";
            case ENODEV -> "The device is being taken from its driver";
            default -> "";
        };
    }

    /**
     * {@code VFIO_DEVICE_BIND_IOMMUFD} without a VM knowing of it, as a driver in user space does. A device for a VM is
     * bound through {@link KvmVfioDevice#add(VfioCdev)} instead: the kernel takes the VM's registration into account
     * only at this moment, and does not complain when it comes too late.
     *
     * @param iommufd where it shall be bound
     * @return the device, which belongs to this file and to the iommufd
     * @throws IllegalArgumentException when the iommufd is of another kernel
     * @throws KernelException when the kernel refuses; the message says why
     */
    public BoundDevice bindWithoutKvm(Iommufd iommufd) {
        OneKernel.require(fd(), iommufd.fd());
        return BoundDevice.bind(this, iommufd);
    }

    /** Answers the number that iommufd knows the device by. */
    int bindFor(boolean forVm, Iommufd iommufd) {
        MemorySegment request = vfio_device_bind_iommufd.allocate(Scratch.begin());
        vfio_device_bind_iommufd.argsz(request, BIND_SIZE);
        int result = iommufd.fd().lend(number -> {
            vfio_device_bind_iommufd.iommufd(request, number);
            return fd().ioctl(BIND_IOMMUFD, request);
        });
        if (result < 0) {
            throw new KernelException(BIND_IOMMUFD.name(), this + " of " + device, "iommufd=" + iommufd.fd().number(),
                    result, Remedy.of(() -> bindRemedy(forVm, Errno.of(-result))));
        }
        bound = true;
        return vfio_device_bind_iommufd.out_devid(request);
    }

    /** The kernel would take it, and the device would never learn of the VM. */
    @Override
    void checkRegistration(KvmVfioDevice kvmVfio) {
        if (bound) {
            throw new IllegalStateException(this + " is bound already, and KVM must know of it before that");
        }
        super.checkRegistration(kvmVfio);
    }

    private String bindRemedy(boolean forVm, Errno errno) {
        return switch (errno) {
            case EBUSY -> "The device's group is open: close /dev/vfio/"
                    + device.iommuGroup().map(group -> "" + group.number()).orElse("<group>")
                    + " there, or use the group interface";
            case EINVAL -> "The device is bound already, here or through another open of its cdev"
                    + Holders.suffix(fd().kernel(), path(device))
                    + (forVm ? "" : ", or its driver works for a VM only: register it with KVM");
            case EPERM -> device.iommuGroup().filter(group -> !group.blockers().isEmpty())
                    .map(group -> "Its group is used by the host: " + group.describe()
                            + ". Bind all of them to vfio-pci or to no driver")
                    .orElse("Either another user holds the device's group, or the platform cannot keep the device from "
                            + "faking interrupts (no interrupt remapping: switch it on in the firmware)");
            case ENODEV -> "The device has no IOMMU group: switch the IOMMU on";
            default -> "";
        };
    }

    /**
     * The device that this file is of.
     *
     * @return as it was opened
     */
    public PciDevice pciDevice() {
        return device;
    }
}
