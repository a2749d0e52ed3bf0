package dev.kvmvfio.kernel;

/**
 * The host is not in a state in which the operation can work, found out before the kernel was asked: no such device, a
 * device without an IOMMU group, a group that is not viable.
 */
public non-sealed class HostException extends KvmVfioException {
    private static final long serialVersionUID = 1;

    /**
     * Describes what is missing.
     *
     * @param message what is wrong, and on which device
     * @param remedy what to do; empty when that is not known
     */
    public HostException(String message, String remedy) {
        super(message, remedy);
    }
}
