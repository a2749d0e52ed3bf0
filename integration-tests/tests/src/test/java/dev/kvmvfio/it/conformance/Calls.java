package dev.kvmvfio.it.conformance;

import static java.util.Map.entry;

import dev.kvmvfio.bindings.iommufd.iommu_destroy;
import dev.kvmvfio.bindings.iommufd.iommu_hw_info;
import dev.kvmvfio.bindings.iommufd.iommu_hwpt_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_allow_iovas;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_copy;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_iova_ranges;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_map;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_unmap;
import dev.kvmvfio.bindings.iommufd.iommu_option;
import dev.kvmvfio.bindings.iommufd.iommu_vfio_ioas;
import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_dirty_log;
import dev.kvmvfio.bindings.kvm.kvm_enable_cap;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_ioeventfd;
import dev.kvmvfio.bindings.kvm.kvm_irq_level;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing;
import dev.kvmvfio.bindings.kvm.kvm_irqfd;
import dev.kvmvfio.bindings.kvm.kvm_mp_state;
import dev.kvmvfio.bindings.kvm.kvm_msi;
import dev.kvmvfio.bindings.kvm.kvm_pit_config;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msrs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.bindings.vfio.vfio_device_attach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_bind_iommufd;
import dev.kvmvfio.bindings.vfio.vfio_device_detach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_feature;
import dev.kvmvfio.bindings.vfio.vfio_device_info;
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
import java.lang.foreign.GroupLayout;
import java.util.Map;
import java.util.Set;

/** The ioctls that sequences can make, by their names in the kernel's headers. */
final class Calls {
    private static final long UNKNOWN_KVM = 0xaefeL;
    private static final long UNKNOWN_VFIO = 0x3bfeL;

    private static final Map<String, Call> ALL = Map.ofEntries(
            number("KVM_GET_API_VERSION", kvm_h.KVM_GET_API_VERSION()),
            number("KVM_CREATE_VM", kvm_h.KVM_CREATE_VM()),
            number("KVM_CHECK_EXTENSION", kvm_h.KVM_CHECK_EXTENSION()),
            number("KVM_GET_VCPU_MMAP_SIZE", kvm_h.KVM_GET_VCPU_MMAP_SIZE()),
            number("KVM_CREATE_VCPU", kvm_h.KVM_CREATE_VCPU()),
            number("KVM_RUN", kvm_h.KVM_RUN()),
            struct("KVM_GET_REGS", kvm_x86_64_h.KVM_GET_REGS(), kvm_regs.layout()),
            struct("KVM_SET_REGS", kvm_x86_64_h.KVM_SET_REGS(), kvm_regs.layout()),
            struct("KVM_GET_SREGS", kvm_x86_64_h.KVM_GET_SREGS(), kvm_sregs.layout()),
            struct("KVM_SET_SREGS", kvm_x86_64_h.KVM_SET_SREGS(), kvm_sregs.layout()),
            struct("KVM_GET_MP_STATE", kvm_h.KVM_GET_MP_STATE(), kvm_mp_state.layout()),
            struct("KVM_SET_MP_STATE", kvm_h.KVM_SET_MP_STATE(), kvm_mp_state.layout()),
            struct("KVM_SET_CPUID2", kvm_x86_64_h.KVM_SET_CPUID2(), kvm_cpuid2.layout()),
            struct("KVM_GET_MSRS", kvm_x86_64_h.KVM_GET_MSRS(), kvm_msrs.layout()),
            struct("KVM_SET_MSRS", kvm_x86_64_h.KVM_SET_MSRS(), kvm_msrs.layout()),
            struct("KVM_CREATE_DEVICE", kvm_h.KVM_CREATE_DEVICE(), kvm_create_device.layout()),
            struct("KVM_SET_USER_MEMORY_REGION", kvm_h.KVM_SET_USER_MEMORY_REGION(),
                    kvm_userspace_memory_region.layout()),
            struct("KVM_SET_USER_MEMORY_REGION2", kvm_h.KVM_SET_USER_MEMORY_REGION2(),
                    kvm_userspace_memory_region2.layout()),
            struct("KVM_GET_DIRTY_LOG", kvm_h.KVM_GET_DIRTY_LOG(), kvm_dirty_log.layout()),
            struct("KVM_IRQFD", kvm_h.KVM_IRQFD(), kvm_irqfd.layout()),
            struct("KVM_IOEVENTFD", kvm_h.KVM_IOEVENTFD(), kvm_ioeventfd.layout()),
            struct("KVM_SET_GSI_ROUTING", kvm_h.KVM_SET_GSI_ROUTING(), kvm_irq_routing.layout()),
            number("KVM_CREATE_IRQCHIP", kvm_h.KVM_CREATE_IRQCHIP()),
            struct("KVM_CREATE_PIT2", kvm_h.KVM_CREATE_PIT2(), kvm_pit_config.layout()),
            struct("KVM_IRQ_LINE", kvm_h.KVM_IRQ_LINE(), kvm_irq_level.layout()),
            struct("KVM_SIGNAL_MSI", kvm_h.KVM_SIGNAL_MSI(), kvm_msi.layout()),
            struct("KVM_ENABLE_CAP", kvm_h.KVM_ENABLE_CAP(), kvm_enable_cap.layout()),
            number("KVM_SET_TSS_ADDR", kvm_h.KVM_SET_TSS_ADDR()),
            number("KVM_SET_IDENTITY_MAP_ADDR", kvm_h.KVM_SET_IDENTITY_MAP_ADDR()),
            number("KVM_SET_BOOT_CPU_ID", kvm_h.KVM_SET_BOOT_CPU_ID()),
            struct("KVM_SET_DEVICE_ATTR", kvm_h.KVM_SET_DEVICE_ATTR(), kvm_device_attr.layout()),
            struct("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR(), kvm_device_attr.layout()),
            struct("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR(), kvm_device_attr.layout()),
            number("KVM_UNKNOWN", UNKNOWN_KVM),
            number("VFIO_GET_API_VERSION", vfio_h.VFIO_GET_API_VERSION()),
            number("VFIO_CHECK_EXTENSION", vfio_h.VFIO_CHECK_EXTENSION()),
            number("VFIO_SET_IOMMU", vfio_h.VFIO_SET_IOMMU()),
            struct("VFIO_GROUP_GET_STATUS", vfio_h.VFIO_GROUP_GET_STATUS(), vfio_group_status.layout()),
            number("VFIO_GROUP_SET_CONTAINER", vfio_h.VFIO_GROUP_SET_CONTAINER()),
            number("VFIO_GROUP_UNSET_CONTAINER", vfio_h.VFIO_GROUP_UNSET_CONTAINER()),
            number("VFIO_GROUP_GET_DEVICE_FD", vfio_h.VFIO_GROUP_GET_DEVICE_FD()),
            struct("VFIO_IOMMU_GET_INFO", vfio_h.VFIO_IOMMU_GET_INFO(), vfio_iommu_type1_info.layout()),
            struct("VFIO_IOMMU_MAP_DMA", vfio_h.VFIO_IOMMU_MAP_DMA(), vfio_iommu_type1_dma_map.layout()),
            struct("VFIO_IOMMU_UNMAP_DMA", vfio_h.VFIO_IOMMU_UNMAP_DMA(), vfio_iommu_type1_dma_unmap.layout()),
            struct("VFIO_IOMMU_DIRTY_PAGES", vfio_h.VFIO_IOMMU_DIRTY_PAGES(), vfio_iommu_type1_dirty_bitmap.layout()),
            struct("VFIO_DEVICE_BIND_IOMMUFD", vfio_h.VFIO_DEVICE_BIND_IOMMUFD(), vfio_device_bind_iommufd.layout()),
            struct("VFIO_DEVICE_ATTACH_IOMMUFD_PT", vfio_h.VFIO_DEVICE_ATTACH_IOMMUFD_PT(),
                    vfio_device_attach_iommufd_pt.layout()),
            struct("VFIO_DEVICE_DETACH_IOMMUFD_PT", vfio_h.VFIO_DEVICE_DETACH_IOMMUFD_PT(),
                    vfio_device_detach_iommufd_pt.layout()),
            struct("VFIO_DEVICE_FEATURE", vfio_h.VFIO_DEVICE_FEATURE(), vfio_device_feature.layout()),
            struct("VFIO_DEVICE_GET_INFO", vfio_h.VFIO_DEVICE_GET_INFO(), vfio_device_info.layout()),
            struct("VFIO_DEVICE_GET_REGION_INFO", vfio_h.VFIO_DEVICE_GET_REGION_INFO(), vfio_region_info.layout()),
            struct("VFIO_DEVICE_GET_IRQ_INFO", vfio_h.VFIO_DEVICE_GET_IRQ_INFO(), vfio_irq_info.layout()),
            struct("VFIO_DEVICE_SET_IRQS", vfio_h.VFIO_DEVICE_SET_IRQS(), vfio_irq_set.layout()),
            number("VFIO_DEVICE_RESET", vfio_h.VFIO_DEVICE_RESET()),
            struct("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", vfio_h.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO(),
                    vfio_pci_hot_reset_info.layout()),
            struct("VFIO_DEVICE_PCI_HOT_RESET", vfio_h.VFIO_DEVICE_PCI_HOT_RESET(), vfio_pci_hot_reset.layout()),
            number("VFIO_UNKNOWN", UNKNOWN_VFIO),
            struct("IOMMU_DESTROY", iommufd_h.IOMMU_DESTROY(), iommu_destroy.layout()),
            struct("IOMMU_IOAS_ALLOC", iommufd_h.IOMMU_IOAS_ALLOC(), iommu_ioas_alloc.layout()),
            struct("IOMMU_IOAS_ALLOW_IOVAS", iommufd_h.IOMMU_IOAS_ALLOW_IOVAS(), iommu_ioas_allow_iovas.layout()),
            struct("IOMMU_IOAS_COPY", iommufd_h.IOMMU_IOAS_COPY(), iommu_ioas_copy.layout()),
            struct("IOMMU_IOAS_IOVA_RANGES", iommufd_h.IOMMU_IOAS_IOVA_RANGES(), iommu_ioas_iova_ranges.layout()),
            struct("IOMMU_IOAS_MAP", iommufd_h.IOMMU_IOAS_MAP(), iommu_ioas_map.layout()),
            struct("IOMMU_IOAS_UNMAP", iommufd_h.IOMMU_IOAS_UNMAP(), iommu_ioas_unmap.layout()),
            struct("IOMMU_OPTION", iommufd_h.IOMMU_OPTION(), iommu_option.layout()),
            struct("IOMMU_VFIO_IOAS", iommufd_h.IOMMU_VFIO_IOAS(), iommu_vfio_ioas.layout()),
            struct("IOMMU_HWPT_ALLOC", iommufd_h.IOMMU_HWPT_ALLOC(), iommu_hwpt_alloc.layout()),
            struct("IOMMU_GET_HW_INFO", iommufd_h.IOMMU_GET_HW_INFO(), iommu_hw_info.layout()));

    private static final Set<String> RETURN_FILES = Set.of("KVM_CREATE_VM", "KVM_CREATE_VCPU",
            "VFIO_GROUP_GET_DEVICE_FD");

    /** Fields in which the kernel answers with a number that later calls need. */
    private static final Map<String, String> MADE = Map.of("KVM_CREATE_DEVICE", "fd", "IOMMU_IOAS_ALLOC",
            "out_ioas_id", "VFIO_DEVICE_BIND_IOMMUFD", "out_devid", "VFIO_DEVICE_ATTACH_IOMMUFD_PT", "pt_id",
            "IOMMU_HWPT_ALLOC", "out_hwpt_id", "IOMMU_IOAS_MAP", "iova");

    private Calls() {
    }

    /** An ioctl; the struct is null when its argument is a number or something that is not a struct. */
    record Call(String name, long request, Struct struct) {
        boolean returnsFile() {
            return RETURN_FILES.contains(name);
        }

        /** The field with the number of what is made, or null. */
        String made() {
            return MADE.get(name);
        }
    }

    private static Map.Entry<String, Call> number(String name, long request) {
        return entry(name, new Call(name, request & 0xffff_ffffL, null));
    }

    private static Map.Entry<String, Call> struct(String name, long request, GroupLayout layout) {
        return entry(name, new Call(name, request & 0xffff_ffffL, new Struct(layout)));
    }

    static Call of(String name) {
        Call call = ALL.get(name);
        if (call == null) {
            throw new IllegalArgumentException("no ioctl " + name);
        }
        return call;
    }
}
