package dev.kvmvfio.mock.internal.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.model.KernelProfile;
import java.util.HashMap;
import java.util.Map;

/** What {@code KVM_CHECK_EXTENSION} answers on x86-64: what is modelled, and 0 for everything else. */
final class KvmCapabilities {
    private static final int MOST_VCPUS = 1024;
    private static final int COALESCED_MMIO_PAGE = 2;

    private static final Map<Long, Integer> VALUES = values();

    private KvmCapabilities() {
    }

    private static Map<Long, Integer> values() {
        Map<Long, Integer> values = new HashMap<>();
        for (int present : new int[]{kvm_h.KVM_CAP_IRQCHIP(), kvm_h.KVM_CAP_USER_MEMORY(), kvm_h.KVM_CAP_EXT_CPUID(),
            kvm_h.KVM_CAP_SET_TSS_ADDR(), kvm_h.KVM_CAP_DESTROY_MEMORY_REGION_WORKS(),
            kvm_h.KVM_CAP_JOIN_MEMORY_REGIONS_WORKS(), kvm_h.KVM_CAP_IRQFD(), kvm_h.KVM_CAP_IRQFD_RESAMPLE(),
            kvm_h.KVM_CAP_IOEVENTFD(), kvm_h.KVM_CAP_IOEVENTFD_ANY_LENGTH(), kvm_h.KVM_CAP_IOEVENTFD_NO_LENGTH(),
            kvm_h.KVM_CAP_SIGNAL_MSI(), kvm_h.KVM_CAP_READONLY_MEM(), kvm_h.KVM_CAP_DEVICE_CTRL(),
            kvm_h.KVM_CAP_CHECK_EXTENSION_VM(), kvm_h.KVM_CAP_ENABLE_CAP_VM(), kvm_h.KVM_CAP_SPLIT_IRQCHIP(),
            kvm_h.KVM_CAP_IMMEDIATE_EXIT(), kvm_h.KVM_CAP_SET_IDENTITY_MAP_ADDR(),
            kvm_h.KVM_CAP_INTERNAL_ERROR_DATA(), kvm_h.KVM_CAP_COALESCED_PIO()}) {
            values.put((long) present, 1);
        }
        values.put((long) kvm_h.KVM_CAP_NR_MEMSLOTS(), MemorySlots.USER_SLOTS);
        values.put((long) kvm_h.KVM_CAP_MULTI_ADDRESS_SPACE(), MemorySlots.ADDRESS_SPACES);
        values.put((long) kvm_h.KVM_CAP_IRQ_ROUTING(), InterruptRoutes.MOST_ROUTES);
        values.put((long) kvm_h.KVM_CAP_MAX_VCPUS(), MOST_VCPUS);
        values.put((long) kvm_h.KVM_CAP_MAX_VCPU_ID(), VirtualMachine.MOST_VCPU_IDS);
        values.put((long) kvm_h.KVM_CAP_NR_VCPUS(), Runtime.getRuntime().availableProcessors());
        values.put((long) kvm_h.KVM_CAP_COALESCED_MMIO(), COALESCED_MMIO_PAGE);
        return values;
    }

    static int of(Machine machine, long capability) {
        // 6.1 has KVM_CREATE_DEVICE, and does not tell of it on x86-64.
        if (capability == kvm_h.KVM_CAP_USER_MEMORY2() || capability == kvm_h.KVM_CAP_DEVICE_CTRL()) {
            return machine.isAtLeast(KernelProfile.V6_12) ? 1 : 0;
        }
        return VALUES.getOrDefault(capability, 0);
    }
}
