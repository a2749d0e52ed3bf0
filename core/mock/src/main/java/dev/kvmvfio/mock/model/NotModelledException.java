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
 * <li>More of a vCPU's state: a register by its number ({@code KVM_GET_ONE_REG}, which x86-64 has since Linux 6.18),
 * {@code KVM_GET_CPUID2}, {@code KVM_SET_CPUID}, {@code KVM_GET_SREGS2}, {@code KVM_SET_SREGS2}, {@code KVM_GET_LAPIC},
 * {@code KVM_SET_LAPIC}, {@code KVM_GET_VCPU_EVENTS}, {@code KVM_SET_VCPU_EVENTS}, {@code KVM_GET_FPU},
 * {@code KVM_SET_FPU}, {@code KVM_GET_XSAVE}, {@code KVM_GET_XSAVE2}, {@code KVM_SET_XSAVE}, {@code KVM_GET_XCRS},
 * {@code KVM_SET_XCRS}, {@code KVM_GET_DEBUGREGS}, {@code KVM_SET_DEBUGREGS}, {@code KVM_SET_GUEST_DEBUG},
 * {@code KVM_TRANSLATE}, {@code KVM_GET_NESTED_STATE}, {@code KVM_SET_NESTED_STATE}, {@code KVM_GET_TSC_KHZ},
 * {@code KVM_SET_TSC_KHZ}, {@code KVM_KVMCLOCK_CTRL}, {@code KVM_INTERRUPT}, {@code KVM_NMI}, {@code KVM_SMI},
 * {@code KVM_SET_SIGNAL_MASK}, {@code KVM_TPR_ACCESS_REPORTING}, {@code KVM_SET_VAPIC_ADDR}, {@code KVM_X86_SETUP_MCE},
 * {@code KVM_X86_SET_MCE}, {@code KVM_PRE_FAULT_MEMORY}, {@code KVM_GET_STATS_FD}, {@code KVM_GET_SUPPORTED_HV_CPUID},
 * {@code KVM_XEN_VCPU_GET_ATTR}, {@code KVM_XEN_VCPU_SET_ATTR}; {@code KVM_ENABLE_CAP} of a vCPU.
 * <li>What the host's processor can do: {@code KVM_GET_SUPPORTED_CPUID}, {@code KVM_GET_EMULATED_CPUID},
 * {@code KVM_GET_MSR_INDEX_LIST}, {@code KVM_GET_MSR_FEATURE_INDEX_LIST}, {@code KVM_GET_MSRS} of the system,
 * {@code KVM_GET_SUPPORTED_HV_CPUID}, {@code KVM_X86_GET_MCE_CAP_SUPPORTED}, an attribute of the processor.
 * <li>Of a virtual machine: {@code KVM_IRQ_LINE_STATUS}, {@code KVM_GET_IRQCHIP}, {@code KVM_SET_IRQCHIP},
 * {@code KVM_CREATE_PIT}, {@code KVM_GET_PIT2}, {@code KVM_SET_PIT2}, {@code KVM_GET_CLOCK}, {@code KVM_SET_CLOCK},
 * {@code KVM_CLEAR_DIRTY_LOG}, {@code KVM_CREATE_GUEST_MEMFD}, {@code KVM_GET_PIT}, {@code KVM_SET_PIT},
 * {@code KVM_REINJECT_CONTROL}, {@code KVM_GET_TSC_KHZ}, {@code KVM_SET_TSC_KHZ}, {@code KVM_GET_NR_MMU_PAGES},
 * {@code KVM_SET_NR_MMU_PAGES}, {@code KVM_REGISTER_COALESCED_MMIO}, {@code KVM_UNREGISTER_COALESCED_MMIO},
 * {@code KVM_RESET_DIRTY_RINGS}, {@code KVM_SET_MEMORY_ATTRIBUTES}, {@code KVM_GET_STATS_FD},
 * {@code KVM_X86_SET_MSR_FILTER}, {@code KVM_SET_PMU_EVENT_FILTER}, {@code KVM_MEMORY_ENCRYPT_OP},
 * {@code KVM_MEMORY_ENCRYPT_REG_REGION}, {@code KVM_MEMORY_ENCRYPT_UNREG_REGION}, {@code KVM_HYPERV_EVENTFD},
 * {@code KVM_XEN_HVM_CONFIG}, {@code KVM_XEN_HVM_GET_ATTR}, {@code KVM_XEN_HVM_SET_ATTR},
 * {@code KVM_XEN_HVM_EVTCHN_SEND}; {@code KVM_ENABLE_CAP} of any capability but {@code KVM_CAP_SPLIT_IRQCHIP};
 * {@code KVM_SIGNAL_MSI} with a delivery mode other than fixed; an interrupt route of type
 * {@code KVM_IRQ_ROUTING_HV_SINT} or {@code KVM_IRQ_ROUTING_XEN_EVTCHN}.
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
 * statx of an open file, epoll of something else than eventfds, epoll with events other than
 * {@code EPOLLIN} and {@code EPOLLOUT}, a Unix socket, a signal that is not a real-time one.
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
