package dev.kvmvfio.mock.model;

/** The rights of a process that KVM, VFIO and iommufd ask for. */
public enum LinuxCapability {
    /** To pin memory without limit: {@code CAP_IPC_LOCK}. */
    IPC_LOCK,
    /** To use devices without an IOMMU: {@code CAP_SYS_RAWIO}. */
    SYS_RAWIO,
    /** To change how iommufd accounts memory: {@code CAP_SYS_RESOURCE}. */
    SYS_RESOURCE
}
