package dev.kvmvfio.passthrough;

/** The two ways in which Linux hands out a device. */
public enum VfioInterface {
    /** The device's own file, bound to an iommufd: Linux 6.6 and later. */
    CDEV,
    /** The file of the device's group, in a container. */
    GROUP
}
