package dev.kvmvfio.mock.model;

/**
 * The mock kernel was asked for something that a real kernel does and this model deliberately does not. It says so
 * instead of guessing an answer. This is all of it:
 *
 * <ul>
 * <li>A processor's own code: {@code KVM_RUN} of a vCPU that has no program ({@code MockGuest.program}), which is what
 * runs and does not use the registers; an access of the guest to a chip in the kernel, so also the message by which one
 * vCPU starts another; {@code KVM_SET_CPUID2} of a vCPU that has run; an MSR other than the common ones;
 * {@code KVM_SET_MP_STATE} of a state other than running and waiting to be started; a mapping of pages that a vCPU does
 * not have.
 * <li>What the host's processor can do: {@code KVM_GET_SUPPORTED_CPUID}, {@code KVM_GET_EMULATED_CPUID},
 * {@code KVM_GET_MSR_INDEX_LIST}, {@code KVM_GET_MSR_FEATURE_INDEX_LIST}, {@code KVM_GET_MSRS} of the system, an
 * attribute of the processor.
 * <li>Of a virtual machine: {@code KVM_IRQ_LINE_STATUS}, {@code KVM_GET_IRQCHIP}, {@code KVM_SET_IRQCHIP},
 * {@code KVM_CREATE_PIT}, {@code KVM_GET_PIT2}, {@code KVM_SET_PIT2}, {@code KVM_GET_CLOCK}, {@code KVM_SET_CLOCK},
 * {@code KVM_CLEAR_DIRTY_LOG}, {@code KVM_CREATE_GUEST_MEMFD}; {@code KVM_ENABLE_CAP} of any capability but
 * {@code KVM_CAP_SPLIT_IRQCHIP}; {@code KVM_SIGNAL_MSI} with a delivery mode other than fixed; an interrupt route of
 * type {@code KVM_IRQ_ROUTING_HV_SINT} or {@code KVM_IRQ_ROUTING_XEN_EVTCHN}.
 * <li>Containers of {@code VFIO_TYPE1_NESTING_IOMMU}; {@code VFIO_IOMMU_UNMAP_DMA} with
 * {@code VFIO_DMA_UNMAP_FLAG_VADDR} or {@code VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP};
 * {@code VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP}.
 * <li>Of a device: {@code VFIO_DEVICE_IOEVENTFD}, {@code VFIO_DEVICE_FEATURE_DMA_BUF}, a device's low power state, a
 * PASID, mapping a BAR that is registers ({@link BarRegisters}, which QEMU's teaching device has), taking the driver
 * from a device that is in use. Devices without an IOMMU and SR-IOV cannot be described.
 * <li>Of iommufd: {@code IOMMU_HWPT_GET_DIRTY_BITMAP}, {@code IOMMU_HWPT_INVALIDATE}, {@code IOMMU_FAULT_QUEUE_ALLOC},
 * {@code IOMMU_IOAS_MAP_FILE}, {@code IOMMU_VIOMMU_ALLOC}, {@code IOMMU_VDEVICE_ALLOC}, {@code IOMMU_VEVENTQ_ALLOC},
 * {@code IOMMU_HW_QUEUE_ALLOC}.
 * <li>Of memory and files: mmap at a fixed address, huge pages that are not set aside, munmap of a part of a mapping,
 * {@code memfd_create} with {@code MFD_EXEC} or {@code MFD_NOEXEC_SEAL}, a mapped memfd that changes its size, a private
 * mapping of a memfd, mmap beyond the end of a memfd, pread, pwrite, read and write of a memfd, opening the disk of a
 * device, getrlimit of a resource other than {@code RLIMIT_MEMLOCK}, madvise,
 * statx of an open file, epoll, a Unix socket, a signal that is not a real-time one.
 * </ul>
 */
public final class NotModelledException extends UnsupportedOperationException {
    private static final long serialVersionUID = 1;

    /**
     * Names what is missing.
     *
     * @param what the call or the argument that is not modelled
     */
    public NotModelledException(String what) {
        super(what + " is not modelled by the mock kernel");
    }
}
