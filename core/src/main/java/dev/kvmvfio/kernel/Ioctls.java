package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.iommufd.iommu_destroy;
import dev.kvmvfio.bindings.iommufd.iommu_fault_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_hw_info;
import dev.kvmvfio.bindings.iommufd.iommu_hw_queue_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_hwpt_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_hwpt_get_dirty_bitmap;
import dev.kvmvfio.bindings.iommufd.iommu_hwpt_invalidate;
import dev.kvmvfio.bindings.iommufd.iommu_hwpt_set_dirty_tracking;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_allow_iovas;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_change_process;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_copy;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_iova_ranges;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_map;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_map_file;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_noiommu_get_pa;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_unmap;
import dev.kvmvfio.bindings.iommufd.iommu_option;
import dev.kvmvfio.bindings.iommufd.iommu_vdevice_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_veventq_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_vfio_ioas;
import dev.kvmvfio.bindings.iommufd.iommu_viommu_alloc;
import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.kvm.aarch64.kvm_aarch64_h;
import dev.kvmvfio.bindings.kvm.aarch64.kvm_vcpu_init;
import dev.kvmvfio.bindings.kvm.kvm_arm_device_addr;
import dev.kvmvfio.bindings.kvm.kvm_clear_dirty_log;
import dev.kvmvfio.bindings.kvm.kvm_clock_data;
import dev.kvmvfio.bindings.kvm.kvm_coalesced_mmio_zone;
import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_create_guest_memfd;
import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_dirty_log;
import dev.kvmvfio.bindings.kvm.kvm_enable_cap;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_interrupt;
import dev.kvmvfio.bindings.kvm.kvm_ioeventfd;
import dev.kvmvfio.bindings.kvm.kvm_irq_level;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing;
import dev.kvmvfio.bindings.kvm.kvm_irqfd;
import dev.kvmvfio.bindings.kvm.kvm_memory_attributes;
import dev.kvmvfio.bindings.kvm.kvm_mp_state;
import dev.kvmvfio.bindings.kvm.kvm_msi;
import dev.kvmvfio.bindings.kvm.kvm_one_reg;
import dev.kvmvfio.bindings.kvm.kvm_pit_config;
import dev.kvmvfio.bindings.kvm.kvm_pre_fault_memory;
import dev.kvmvfio.bindings.kvm.kvm_reg_list;
import dev.kvmvfio.bindings.kvm.kvm_signal_mask;
import dev.kvmvfio.bindings.kvm.kvm_tpr_access_ctl;
import dev.kvmvfio.bindings.kvm.kvm_translation;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region2;
import dev.kvmvfio.bindings.kvm.kvm_vapic_addr;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_debugregs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_fpu;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_guest_debug;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_lapic_state;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msr_filter;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msr_list;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msrs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_nested_state;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_pit_state2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_pmu_event_filter;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_reinject_control;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_xcrs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_xsave;
import dev.kvmvfio.bindings.vfio.vfio_device_attach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_bind_iommufd;
import dev.kvmvfio.bindings.vfio.vfio_device_detach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_feature;
import dev.kvmvfio.bindings.vfio.vfio_device_gfx_plane_info;
import dev.kvmvfio.bindings.vfio.vfio_device_info;
import dev.kvmvfio.bindings.vfio.vfio_device_ioeventfd;
import dev.kvmvfio.bindings.vfio.vfio_group_status;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dirty_bitmap;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_map;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_unmap;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_info;
import dev.kvmvfio.bindings.vfio.vfio_irq_info;
import dev.kvmvfio.bindings.vfio.vfio_irq_set;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset_info;
import dev.kvmvfio.bindings.vfio.vfio_region_info;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The ioctls of one kind of file: their numbers, their names, and what their arguments point to. */
final class Ioctls {
    /** The argument points to the number of a file. */
    static final MemoryLayout FILE = ValueLayout.JAVA_INT.withName("file");
    /** The argument points to text that ends in a zero. */
    static final MemoryLayout TEXT = ValueLayout.JAVA_BYTE.withName("text");

    private final Map<Long, Known> known = new HashMap<>();

    /** An ioctl; the layout is null when its argument is a number, or none. */
    record Known(String name, @Nullable MemoryLayout layout) {
    }

    private Ioctls add(String name, long request) {
        return add(name, request, null);
    }

    private Ioctls add(String name, long request, @Nullable MemoryLayout layout) {
        known.put(canonical(request), new Known(name, layout));
        return this;
    }

    private Ioctls addAll(Ioctls others) {
        known.putAll(others.known);
        return this;
    }

    /** The kernel looks at 32 bits of the request only. */
    private static long canonical(long request) {
        return request & 0xffff_ffffL;
    }

    Known find(long request) {
        Known found = known.get(canonical(request));
        return found == null ? new Known("0x" + Long.toHexString(canonical(request)), null) : found;
    }

    Stream<String> names() {
        return known.values().stream().map(Known::name);
    }

    static Ioctls ofKvm() {
        return new Ioctls()
                .add("KVM_GET_API_VERSION", kvm_h.KVM_GET_API_VERSION())
                .add("KVM_CREATE_VM", kvm_h.KVM_CREATE_VM())
                .add("KVM_CHECK_EXTENSION", kvm_h.KVM_CHECK_EXTENSION())
                .add("KVM_GET_VCPU_MMAP_SIZE", kvm_h.KVM_GET_VCPU_MMAP_SIZE())
                .add("KVM_GET_MSR_INDEX_LIST", kvm_x86_64_h.KVM_GET_MSR_INDEX_LIST(), kvm_msr_list.layout())
                .add("KVM_GET_MSR_FEATURE_INDEX_LIST", kvm_x86_64_h.KVM_GET_MSR_FEATURE_INDEX_LIST(),
                        kvm_msr_list.layout())
                .add("KVM_GET_MSRS", kvm_x86_64_h.KVM_GET_MSRS(), kvm_msrs.layout())
                .add("KVM_GET_SUPPORTED_CPUID", kvm_x86_64_h.KVM_GET_SUPPORTED_CPUID(), kvm_cpuid2.layout())
                .add("KVM_GET_EMULATED_CPUID", kvm_x86_64_h.KVM_GET_EMULATED_CPUID(), kvm_cpuid2.layout())
                .add("KVM_GET_SUPPORTED_HV_CPUID", kvm_x86_64_h.KVM_GET_SUPPORTED_HV_CPUID(), kvm_cpuid2.layout())
                .add("KVM_SET_DEVICE_ATTR", kvm_h.KVM_SET_DEVICE_ATTR(), kvm_device_attr.layout())
                .add("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR(), kvm_device_attr.layout())
                .add("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR(), kvm_device_attr.layout());
    }

    static Ioctls ofVm() {
        return new Ioctls()
                .add("KVM_CHECK_EXTENSION", kvm_h.KVM_CHECK_EXTENSION())
                .add("KVM_CREATE_VCPU", kvm_h.KVM_CREATE_VCPU())
                .add("KVM_SET_NR_MMU_PAGES", kvm_h.KVM_SET_NR_MMU_PAGES())
                .add("KVM_GET_NR_MMU_PAGES", kvm_h.KVM_GET_NR_MMU_PAGES())
                .add("KVM_SET_TSS_ADDR", kvm_h.KVM_SET_TSS_ADDR())
                .add("KVM_CREATE_IRQCHIP", kvm_h.KVM_CREATE_IRQCHIP())
                .add("KVM_CREATE_PIT", kvm_h.KVM_CREATE_PIT())
                .add("KVM_SET_BOOT_CPU_ID", kvm_h.KVM_SET_BOOT_CPU_ID())
                .add("KVM_SET_TSC_KHZ", kvm_h.KVM_SET_TSC_KHZ())
                .add("KVM_GET_TSC_KHZ", kvm_h.KVM_GET_TSC_KHZ())
                .add("KVM_RESET_DIRTY_RINGS", kvm_h.KVM_RESET_DIRTY_RINGS())
                .add("KVM_GET_STATS_FD", kvm_h.KVM_GET_STATS_FD())
                .add("KVM_SET_IDENTITY_MAP_ADDR", kvm_h.KVM_SET_IDENTITY_MAP_ADDR(), ValueLayout.JAVA_LONG)
                .add("KVM_GET_DIRTY_LOG", kvm_h.KVM_GET_DIRTY_LOG(), kvm_dirty_log.layout())
                .add("KVM_CLEAR_DIRTY_LOG", kvm_h.KVM_CLEAR_DIRTY_LOG(), kvm_clear_dirty_log.layout())
                .add("KVM_SET_USER_MEMORY_REGION", kvm_h.KVM_SET_USER_MEMORY_REGION(),
                        kvm_userspace_memory_region.layout())
                .add("KVM_SET_USER_MEMORY_REGION2", kvm_h.KVM_SET_USER_MEMORY_REGION2(),
                        kvm_userspace_memory_region2.layout())
                .add("KVM_IRQ_LINE", kvm_h.KVM_IRQ_LINE(), kvm_irq_level.layout())
                .add("KVM_IRQ_LINE_STATUS", kvm_h.KVM_IRQ_LINE_STATUS(), kvm_irq_level.layout())
                .add("KVM_REGISTER_COALESCED_MMIO", kvm_h.KVM_REGISTER_COALESCED_MMIO(),
                        kvm_coalesced_mmio_zone.layout())
                .add("KVM_UNREGISTER_COALESCED_MMIO", kvm_h.KVM_UNREGISTER_COALESCED_MMIO(),
                        kvm_coalesced_mmio_zone.layout())
                .add("KVM_SET_GSI_ROUTING", kvm_h.KVM_SET_GSI_ROUTING(), kvm_irq_routing.layout())
                .add("KVM_IRQFD", kvm_h.KVM_IRQFD(), kvm_irqfd.layout())
                .add("KVM_CREATE_PIT2", kvm_h.KVM_CREATE_PIT2(), kvm_pit_config.layout())
                .add("KVM_IOEVENTFD", kvm_h.KVM_IOEVENTFD(), kvm_ioeventfd.layout())
                .add("KVM_SET_CLOCK", kvm_h.KVM_SET_CLOCK(), kvm_clock_data.layout())
                .add("KVM_GET_CLOCK", kvm_h.KVM_GET_CLOCK(), kvm_clock_data.layout())
                .add("KVM_SIGNAL_MSI", kvm_h.KVM_SIGNAL_MSI(), kvm_msi.layout())
                .add("KVM_ARM_SET_DEVICE_ADDR", kvm_h.KVM_ARM_SET_DEVICE_ADDR(), kvm_arm_device_addr.layout())
                .add("KVM_CREATE_DEVICE", kvm_h.KVM_CREATE_DEVICE(), kvm_create_device.layout())
                .add("KVM_ENABLE_CAP", kvm_h.KVM_ENABLE_CAP(), kvm_enable_cap.layout())
                .add("KVM_SET_MEMORY_ATTRIBUTES", kvm_h.KVM_SET_MEMORY_ATTRIBUTES(), kvm_memory_attributes.layout())
                .add("KVM_CREATE_GUEST_MEMFD", kvm_h.KVM_CREATE_GUEST_MEMFD(), kvm_create_guest_memfd.layout())
                .add("KVM_GET_IRQCHIP", kvm_h.KVM_GET_IRQCHIP())
                .add("KVM_SET_IRQCHIP", kvm_h.KVM_SET_IRQCHIP())
                .add("KVM_REINJECT_CONTROL", kvm_h.KVM_REINJECT_CONTROL(), kvm_reinject_control.layout())
                .add("KVM_GET_PIT2", kvm_x86_64_h.KVM_GET_PIT2(), kvm_pit_state2.layout())
                .add("KVM_SET_PIT2", kvm_x86_64_h.KVM_SET_PIT2(), kvm_pit_state2.layout())
                .add("KVM_X86_SET_MSR_FILTER", kvm_x86_64_h.KVM_X86_SET_MSR_FILTER(), kvm_msr_filter.layout())
                .add("KVM_SET_PMU_EVENT_FILTER", kvm_x86_64_h.KVM_SET_PMU_EVENT_FILTER(), kvm_pmu_event_filter.layout())
                .add("KVM_ARM_PREFERRED_TARGET", kvm_aarch64_h.KVM_ARM_PREFERRED_TARGET())
                .add("KVM_SET_DEVICE_ATTR", kvm_h.KVM_SET_DEVICE_ATTR(), kvm_device_attr.layout())
                .add("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR(), kvm_device_attr.layout())
                .add("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR(), kvm_device_attr.layout());
    }

    static Ioctls ofVcpu() {
        return new Ioctls()
                .add("KVM_RUN", kvm_h.KVM_RUN())
                .add("KVM_NMI", kvm_h.KVM_NMI())
                .add("KVM_SMI", kvm_h.KVM_SMI())
                .add("KVM_KVMCLOCK_CTRL", kvm_h.KVM_KVMCLOCK_CTRL())
                .add("KVM_SET_TSC_KHZ", kvm_h.KVM_SET_TSC_KHZ())
                .add("KVM_GET_TSC_KHZ", kvm_h.KVM_GET_TSC_KHZ())
                .add("KVM_GET_STATS_FD", kvm_h.KVM_GET_STATS_FD())
                .add("KVM_TRANSLATE", kvm_h.KVM_TRANSLATE(), kvm_translation.layout())
                .add("KVM_INTERRUPT", kvm_h.KVM_INTERRUPT(), kvm_interrupt.layout())
                .add("KVM_SET_SIGNAL_MASK", kvm_h.KVM_SET_SIGNAL_MASK(), kvm_signal_mask.layout())
                .add("KVM_TPR_ACCESS_REPORTING", kvm_h.KVM_TPR_ACCESS_REPORTING(), kvm_tpr_access_ctl.layout())
                .add("KVM_SET_VAPIC_ADDR", kvm_h.KVM_SET_VAPIC_ADDR(), kvm_vapic_addr.layout())
                .add("KVM_GET_MP_STATE", kvm_h.KVM_GET_MP_STATE(), kvm_mp_state.layout())
                .add("KVM_SET_MP_STATE", kvm_h.KVM_SET_MP_STATE(), kvm_mp_state.layout())
                .add("KVM_ENABLE_CAP", kvm_h.KVM_ENABLE_CAP(), kvm_enable_cap.layout())
                .add("KVM_GET_ONE_REG", kvm_h.KVM_GET_ONE_REG(), kvm_one_reg.layout())
                .add("KVM_SET_ONE_REG", kvm_h.KVM_SET_ONE_REG(), kvm_one_reg.layout())
                .add("KVM_GET_REG_LIST", kvm_h.KVM_GET_REG_LIST(), kvm_reg_list.layout())
                .add("KVM_PRE_FAULT_MEMORY", kvm_h.KVM_PRE_FAULT_MEMORY(), kvm_pre_fault_memory.layout())
                .add("KVM_X86_SETUP_MCE", kvm_h.KVM_X86_SETUP_MCE())
                .add("KVM_GET_VCPU_EVENTS", kvm_h.KVM_GET_VCPU_EVENTS())
                .add("KVM_SET_VCPU_EVENTS", kvm_h.KVM_SET_VCPU_EVENTS())
                .add("KVM_ARM_VCPU_FINALIZE", kvm_h.KVM_ARM_VCPU_FINALIZE(), ValueLayout.JAVA_INT)
                .add("KVM_GET_REGS", kvm_x86_64_h.KVM_GET_REGS(), kvm_regs.layout())
                .add("KVM_SET_REGS", kvm_x86_64_h.KVM_SET_REGS(), kvm_regs.layout())
                .add("KVM_GET_SREGS", kvm_x86_64_h.KVM_GET_SREGS(), kvm_sregs.layout())
                .add("KVM_SET_SREGS", kvm_x86_64_h.KVM_SET_SREGS(), kvm_sregs.layout())
                .add("KVM_GET_SREGS2", kvm_x86_64_h.KVM_GET_SREGS2(), kvm_sregs2.layout())
                .add("KVM_SET_SREGS2", kvm_x86_64_h.KVM_SET_SREGS2(), kvm_sregs2.layout())
                .add("KVM_GET_MSRS", kvm_x86_64_h.KVM_GET_MSRS(), kvm_msrs.layout())
                .add("KVM_SET_MSRS", kvm_x86_64_h.KVM_SET_MSRS(), kvm_msrs.layout())
                .add("KVM_GET_FPU", kvm_x86_64_h.KVM_GET_FPU(), kvm_fpu.layout())
                .add("KVM_SET_FPU", kvm_x86_64_h.KVM_SET_FPU(), kvm_fpu.layout())
                .add("KVM_GET_LAPIC", kvm_x86_64_h.KVM_GET_LAPIC(), kvm_lapic_state.layout())
                .add("KVM_SET_LAPIC", kvm_x86_64_h.KVM_SET_LAPIC(), kvm_lapic_state.layout())
                .add("KVM_SET_CPUID2", kvm_x86_64_h.KVM_SET_CPUID2(), kvm_cpuid2.layout())
                .add("KVM_GET_CPUID2", kvm_x86_64_h.KVM_GET_CPUID2(), kvm_cpuid2.layout())
                .add("KVM_SET_GUEST_DEBUG", kvm_x86_64_h.KVM_SET_GUEST_DEBUG(), kvm_guest_debug.layout())
                .add("KVM_GET_DEBUGREGS", kvm_x86_64_h.KVM_GET_DEBUGREGS(), kvm_debugregs.layout())
                .add("KVM_SET_DEBUGREGS", kvm_x86_64_h.KVM_SET_DEBUGREGS(), kvm_debugregs.layout())
                .add("KVM_GET_XSAVE", kvm_x86_64_h.KVM_GET_XSAVE(), kvm_xsave.layout())
                .add("KVM_SET_XSAVE", kvm_x86_64_h.KVM_SET_XSAVE(), kvm_xsave.layout())
                .add("KVM_GET_XSAVE2", kvm_x86_64_h.KVM_GET_XSAVE2(), kvm_xsave.layout())
                .add("KVM_GET_XCRS", kvm_x86_64_h.KVM_GET_XCRS(), kvm_xcrs.layout())
                .add("KVM_SET_XCRS", kvm_x86_64_h.KVM_SET_XCRS(), kvm_xcrs.layout())
                .add("KVM_GET_NESTED_STATE", kvm_x86_64_h.KVM_GET_NESTED_STATE(), kvm_nested_state.layout())
                .add("KVM_SET_NESTED_STATE", kvm_x86_64_h.KVM_SET_NESTED_STATE(), kvm_nested_state.layout())
                .add("KVM_ARM_VCPU_INIT", kvm_aarch64_h.KVM_ARM_VCPU_INIT(), kvm_vcpu_init.layout())
                .add("KVM_SET_DEVICE_ATTR", kvm_h.KVM_SET_DEVICE_ATTR(), kvm_device_attr.layout())
                .add("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR(), kvm_device_attr.layout())
                .add("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR(), kvm_device_attr.layout());
    }

    static Ioctls ofKvmDevice() {
        return new Ioctls()
                .add("KVM_SET_DEVICE_ATTR", kvm_h.KVM_SET_DEVICE_ATTR(), kvm_device_attr.layout())
                .add("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR(), kvm_device_attr.layout())
                .add("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR(), kvm_device_attr.layout());
    }

    static Ioctls ofContainer() {
        return new Ioctls()
                .add("VFIO_GET_API_VERSION", vfio_h.VFIO_GET_API_VERSION())
                .add("VFIO_CHECK_EXTENSION", vfio_h.VFIO_CHECK_EXTENSION())
                .add("VFIO_SET_IOMMU", vfio_h.VFIO_SET_IOMMU())
                .add("VFIO_IOMMU_ENABLE", vfio_h.VFIO_IOMMU_ENABLE())
                .add("VFIO_IOMMU_DISABLE", vfio_h.VFIO_IOMMU_DISABLE())
                .add("VFIO_IOMMU_GET_INFO", vfio_h.VFIO_IOMMU_GET_INFO(), vfio_iommu_type1_info.layout())
                .add("VFIO_IOMMU_MAP_DMA", vfio_h.VFIO_IOMMU_MAP_DMA(), vfio_iommu_type1_dma_map.layout())
                .add("VFIO_IOMMU_UNMAP_DMA", vfio_h.VFIO_IOMMU_UNMAP_DMA(), vfio_iommu_type1_dma_unmap.layout())
                .add("VFIO_IOMMU_DIRTY_PAGES", vfio_h.VFIO_IOMMU_DIRTY_PAGES(), vfio_iommu_type1_dirty_bitmap.layout());
    }

    static Ioctls ofGroup() {
        return new Ioctls()
                .add("VFIO_GROUP_GET_STATUS", vfio_h.VFIO_GROUP_GET_STATUS(), vfio_group_status.layout())
                .add("VFIO_GROUP_SET_CONTAINER", vfio_h.VFIO_GROUP_SET_CONTAINER(), FILE)
                .add("VFIO_GROUP_UNSET_CONTAINER", vfio_h.VFIO_GROUP_UNSET_CONTAINER())
                .add("VFIO_GROUP_GET_DEVICE_FD", vfio_h.VFIO_GROUP_GET_DEVICE_FD(), TEXT);
    }

    static Ioctls ofDevice() {
        return new Ioctls()
                .add("VFIO_DEVICE_GET_INFO", vfio_h.VFIO_DEVICE_GET_INFO(), vfio_device_info.layout())
                .add("VFIO_DEVICE_GET_REGION_INFO", vfio_h.VFIO_DEVICE_GET_REGION_INFO(), vfio_region_info.layout())
                .add("VFIO_DEVICE_GET_IRQ_INFO", vfio_h.VFIO_DEVICE_GET_IRQ_INFO(), vfio_irq_info.layout())
                .add("VFIO_DEVICE_SET_IRQS", vfio_h.VFIO_DEVICE_SET_IRQS(), vfio_irq_set.layout())
                .add("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", vfio_h.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO(),
                        vfio_pci_hot_reset_info.layout())
                .add("VFIO_DEVICE_PCI_HOT_RESET", vfio_h.VFIO_DEVICE_PCI_HOT_RESET(), vfio_pci_hot_reset.layout())
                .add("VFIO_DEVICE_QUERY_GFX_PLANE", vfio_h.VFIO_DEVICE_QUERY_GFX_PLANE(),
                        vfio_device_gfx_plane_info.layout())
                .add("VFIO_DEVICE_IOEVENTFD", vfio_h.VFIO_DEVICE_IOEVENTFD(), vfio_device_ioeventfd.layout())
                .add("VFIO_DEVICE_FEATURE", vfio_h.VFIO_DEVICE_FEATURE(), vfio_device_feature.layout())
                .add("VFIO_DEVICE_BIND_IOMMUFD", vfio_h.VFIO_DEVICE_BIND_IOMMUFD(), vfio_device_bind_iommufd.layout())
                .add("VFIO_DEVICE_ATTACH_IOMMUFD_PT", vfio_h.VFIO_DEVICE_ATTACH_IOMMUFD_PT(),
                        vfio_device_attach_iommufd_pt.layout())
                .add("VFIO_DEVICE_DETACH_IOMMUFD_PT", vfio_h.VFIO_DEVICE_DETACH_IOMMUFD_PT(),
                        vfio_device_detach_iommufd_pt.layout())
                .add("VFIO_DEVICE_RESET", vfio_h.VFIO_DEVICE_RESET())
                .add("VFIO_DEVICE_GET_GFX_DMABUF", vfio_h.VFIO_DEVICE_GET_GFX_DMABUF(),
                        ValueLayout.JAVA_INT);
    }

    static Ioctls ofIommufd() {
        return new Ioctls().addAll(FileKind.VFIO_CONTAINER.ioctls())
                .add("IOMMU_DESTROY", iommufd_h.IOMMU_DESTROY(), iommu_destroy.layout())
                .add("IOMMU_IOAS_ALLOC", iommufd_h.IOMMU_IOAS_ALLOC(), iommu_ioas_alloc.layout())
                .add("IOMMU_IOAS_ALLOW_IOVAS", iommufd_h.IOMMU_IOAS_ALLOW_IOVAS(), iommu_ioas_allow_iovas.layout())
                .add("IOMMU_IOAS_COPY", iommufd_h.IOMMU_IOAS_COPY(), iommu_ioas_copy.layout())
                .add("IOMMU_IOAS_IOVA_RANGES", iommufd_h.IOMMU_IOAS_IOVA_RANGES(), iommu_ioas_iova_ranges.layout())
                .add("IOMMU_IOAS_MAP", iommufd_h.IOMMU_IOAS_MAP(), iommu_ioas_map.layout())
                .add("IOMMU_IOAS_UNMAP", iommufd_h.IOMMU_IOAS_UNMAP(), iommu_ioas_unmap.layout())
                .add("IOMMU_OPTION", iommufd_h.IOMMU_OPTION(), iommu_option.layout())
                .add("IOMMU_VFIO_IOAS", iommufd_h.IOMMU_VFIO_IOAS(), iommu_vfio_ioas.layout())
                .add("IOMMU_HWPT_ALLOC", iommufd_h.IOMMU_HWPT_ALLOC(), iommu_hwpt_alloc.layout())
                .add("IOMMU_GET_HW_INFO", iommufd_h.IOMMU_GET_HW_INFO(), iommu_hw_info.layout())
                .add("IOMMU_HWPT_SET_DIRTY_TRACKING", iommufd_h.IOMMU_HWPT_SET_DIRTY_TRACKING(),
                        iommu_hwpt_set_dirty_tracking.layout())
                .add("IOMMU_HWPT_GET_DIRTY_BITMAP", iommufd_h.IOMMU_HWPT_GET_DIRTY_BITMAP(),
                        iommu_hwpt_get_dirty_bitmap.layout())
                .add("IOMMU_HWPT_INVALIDATE", iommufd_h.IOMMU_HWPT_INVALIDATE(), iommu_hwpt_invalidate.layout())
                .add("IOMMU_FAULT_QUEUE_ALLOC", iommufd_h.IOMMU_FAULT_QUEUE_ALLOC(), iommu_fault_alloc.layout())
                .add("IOMMU_IOAS_MAP_FILE", iommufd_h.IOMMU_IOAS_MAP_FILE(), iommu_ioas_map_file.layout())
                .add("IOMMU_VIOMMU_ALLOC", iommufd_h.IOMMU_VIOMMU_ALLOC(), iommu_viommu_alloc.layout())
                .add("IOMMU_VDEVICE_ALLOC", iommufd_h.IOMMU_VDEVICE_ALLOC(), iommu_vdevice_alloc.layout())
                .add("IOMMU_IOAS_CHANGE_PROCESS", iommufd_h.IOMMU_IOAS_CHANGE_PROCESS(),
                        iommu_ioas_change_process.layout())
                .add("IOMMU_VEVENTQ_ALLOC", iommufd_h.IOMMU_VEVENTQ_ALLOC(), iommu_veventq_alloc.layout())
                .add("IOMMU_HW_QUEUE_ALLOC", iommufd_h.IOMMU_HW_QUEUE_ALLOC(), iommu_hw_queue_alloc.layout())
                .add("IOMMU_IOAS_NOIOMMU_GET_PA", iommufd_h.IOMMU_IOAS_NOIOMMU_GET_PA(),
                        iommu_ioas_noiommu_get_pa.layout());
    }
}
