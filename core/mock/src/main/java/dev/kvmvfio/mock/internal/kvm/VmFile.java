package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EBUSY;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENODEV;
import static dev.kvmvfio.kernel.Errno.ENOTTY;

import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_dirty_log;
import dev.kvmvfio.bindings.kvm.kvm_enable_cap;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_ioeventfd;
import dev.kvmvfio.bindings.kvm.kvm_irq_level;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing;
import dev.kvmvfio.bindings.kvm.kvm_irqfd;
import dev.kvmvfio.bindings.kvm.kvm_msi;
import dev.kvmvfio.bindings.kvm.kvm_pit_config;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.mock.internal.system.AnonymousFile;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;

/** The file of a virtual machine. Closing it ends its irqfds, even when the machine lives on. */
public final class VmFile extends AnonymousFile {
    private static final long HIGHEST_TSS = 0xffff_ffffL - 3 * PhysicalMemory.PAGE + 1;

    static final IoctlTable<VmFile> IOCTLS = new IoctlTable<>(VmFile.class, ENOTTY)
            .on("KVM_CHECK_EXTENSION", kvm_h.KVM_CHECK_EXTENSION(),
                    (file, argument) -> KvmCapabilities.of(file.vm.machine(), argument.number()))
            .on("KVM_CREATE_VCPU", kvm_h.KVM_CREATE_VCPU(), (file, argument) -> file.vm.createVcpu(argument.number()))
            .on("KVM_CREATE_DEVICE", kvm_h.KVM_CREATE_DEVICE(), kvm_create_device.layout(), VmFile::createDevice)
            .on("KVM_SET_USER_MEMORY_REGION", kvm_h.KVM_SET_USER_MEMORY_REGION(), kvm_userspace_memory_region.layout(),
                    VmFile::setMemoryRegion)
            .on("KVM_SET_USER_MEMORY_REGION2", kvm_h.KVM_SET_USER_MEMORY_REGION2(),
                    kvm_userspace_memory_region2.layout(), VmFile::setMemoryRegion2)
            .on("KVM_GET_DIRTY_LOG", kvm_h.KVM_GET_DIRTY_LOG(), kvm_dirty_log.layout(),
                    (file, argument) -> file.vm.slots().dirtyLog(argument))
            .on("KVM_IRQFD", kvm_h.KVM_IRQFD(), kvm_irqfd.layout(),
                    (file, argument) -> file.vm.irqFds().set(argument.read(0, kvm_irqfd.sizeof())))
            .on("KVM_IOEVENTFD", kvm_h.KVM_IOEVENTFD(), kvm_ioeventfd.layout(),
                    (file, argument) -> file.vm.ioEventFds().set(argument.read(0, kvm_ioeventfd.sizeof())))
            .on("KVM_SET_GSI_ROUTING", kvm_h.KVM_SET_GSI_ROUTING(), kvm_irq_routing.layout(),
                    (file, argument) -> file.vm.interrupts().setRoutes(argument))
            .on("KVM_CREATE_IRQCHIP", kvm_h.KVM_CREATE_IRQCHIP(), (file, argument) -> file.vm.interrupts().create())
            .on("KVM_CREATE_PIT2", kvm_h.KVM_CREATE_PIT2(), kvm_pit_config.layout(),
                    (file, argument) -> file.vm.interrupts().createPit(argument))
            .on("KVM_IRQ_LINE", kvm_h.KVM_IRQ_LINE(), kvm_irq_level.layout(), (file, argument) -> {
                file.vm.interrupts().line(argument.read(0, kvm_irq_level.sizeof()));
                return 0;
            })
            .notModelled("KVM_IRQ_LINE_STATUS", kvm_h.KVM_IRQ_LINE_STATUS())
            .on("KVM_SIGNAL_MSI", kvm_h.KVM_SIGNAL_MSI(), kvm_msi.layout(),
                    (file, argument) -> file.vm.interrupts().signalMsi(argument.read(0, kvm_msi.sizeof())))
            .on("KVM_ENABLE_CAP", kvm_h.KVM_ENABLE_CAP(), kvm_enable_cap.layout(), VmFile::enableCapability)
            .on("KVM_SET_TSS_ADDR", kvm_h.KVM_SET_TSS_ADDR(), (file, argument) -> {
                Refusal.when(argument.number() > HIGHEST_TSS, EINVAL);
                return 0;
            })
            .on("KVM_SET_IDENTITY_MAP_ADDR", kvm_h.KVM_SET_IDENTITY_MAP_ADDR(), (file, argument) -> {
                Refusal.when(file.vm.hasVcpus(), EINVAL);
                argument.read(0, Long.BYTES);
                return 0;
            })
            .on("KVM_SET_BOOT_CPU_ID", kvm_h.KVM_SET_BOOT_CPU_ID(), (file, argument) -> {
                Refusal.when(file.vm.hasVcpus(), EBUSY);
                Refusal.when(argument.number() > VirtualMachine.MOST_VCPU_IDS, EINVAL);
                return 0;
            })
            .notModelled("KVM_GET_IRQCHIP", kvm_h.KVM_GET_IRQCHIP())
            .notModelled("KVM_SET_IRQCHIP", kvm_h.KVM_SET_IRQCHIP())
            .notModelled("KVM_CREATE_PIT", kvm_h.KVM_CREATE_PIT())
            .notModelled("KVM_GET_PIT2", kvm_x86_64_h.KVM_GET_PIT2())
            .notModelled("KVM_SET_PIT2", kvm_x86_64_h.KVM_SET_PIT2())
            .notModelled("KVM_GET_CLOCK", kvm_h.KVM_GET_CLOCK())
            .notModelled("KVM_SET_CLOCK", kvm_h.KVM_SET_CLOCK())
            .notModelled("KVM_CLEAR_DIRTY_LOG", kvm_h.KVM_CLEAR_DIRTY_LOG())
            .notModelled("KVM_CREATE_GUEST_MEMFD", kvm_h.KVM_CREATE_GUEST_MEMFD())
            .notModelled("KVM_GET_PIT", kvm_x86_64_h.KVM_GET_PIT())
            .notModelled("KVM_SET_PIT", kvm_x86_64_h.KVM_SET_PIT())
            .notModelled("KVM_REINJECT_CONTROL", kvm_h.KVM_REINJECT_CONTROL())
            .notModelled("KVM_GET_TSC_KHZ", kvm_h.KVM_GET_TSC_KHZ())
            .notModelled("KVM_SET_TSC_KHZ", kvm_h.KVM_SET_TSC_KHZ())
            .notModelled("KVM_GET_NR_MMU_PAGES", kvm_h.KVM_GET_NR_MMU_PAGES())
            .notModelled("KVM_SET_NR_MMU_PAGES", kvm_h.KVM_SET_NR_MMU_PAGES())
            .notModelled("KVM_REGISTER_COALESCED_MMIO", kvm_h.KVM_REGISTER_COALESCED_MMIO())
            .notModelled("KVM_UNREGISTER_COALESCED_MMIO", kvm_h.KVM_UNREGISTER_COALESCED_MMIO())
            .notModelled("KVM_RESET_DIRTY_RINGS", kvm_h.KVM_RESET_DIRTY_RINGS())
            .notModelled("KVM_SET_MEMORY_ATTRIBUTES", kvm_h.KVM_SET_MEMORY_ATTRIBUTES())
            .notModelled("KVM_GET_STATS_FD", kvm_h.KVM_GET_STATS_FD())
            .notModelled("KVM_X86_SET_MSR_FILTER", kvm_x86_64_h.KVM_X86_SET_MSR_FILTER())
            .notModelled("KVM_SET_PMU_EVENT_FILTER", kvm_x86_64_h.KVM_SET_PMU_EVENT_FILTER())
            .notModelled("KVM_MEMORY_ENCRYPT_OP", kvm_h.KVM_MEMORY_ENCRYPT_OP())
            .notModelled("KVM_MEMORY_ENCRYPT_REG_REGION", kvm_h.KVM_MEMORY_ENCRYPT_REG_REGION())
            .notModelled("KVM_MEMORY_ENCRYPT_UNREG_REGION", kvm_h.KVM_MEMORY_ENCRYPT_UNREG_REGION())
            .notModelled("KVM_HYPERV_EVENTFD", kvm_x86_64_h.KVM_HYPERV_EVENTFD())
            .notModelled("KVM_XEN_HVM_CONFIG", kvm_x86_64_h.KVM_XEN_HVM_CONFIG())
            .notModelled("KVM_XEN_HVM_GET_ATTR", kvm_x86_64_h.KVM_XEN_HVM_GET_ATTR())
            .notModelled("KVM_XEN_HVM_SET_ATTR", kvm_x86_64_h.KVM_XEN_HVM_SET_ATTR())
            .notModelled("KVM_XEN_HVM_EVTCHN_SEND", kvm_h.KVM_XEN_HVM_EVTCHN_SEND());

    private final VirtualMachine vm;

    /** Takes over the caller's reference on the machine. */
    VmFile(VirtualMachine vm) {
        super("KVM VM");
        this.vm = vm;
    }

    public VirtualMachine vm() {
        return vm;
    }

    @Override
    protected IoctlTable<VmFile> ioctls() {
        return IOCTLS;
    }

    private long createDevice(Argument argument) {
        MemorySegment device = argument.read(0, kvm_create_device.sizeof());
        Refusal.when(kvm_create_device.type(device) != kvm_h.KVM_DEV_TYPE_VFIO(), ENODEV);
        if ((kvm_create_device.flags(device) & kvm_h.KVM_CREATE_DEVICE_TEST()) != 0) {
            return 0;
        }
        Refusal.when(vm.vfio() != null, EBUSY);
        kvm_create_device.fd(device, vm.machine().files().install(new KvmDeviceFile(vm)));
        argument.write(0, device);
        return 0;
    }

    private long setMemoryRegion(Argument argument) {
        MemorySegment region = Argument.allocate(kvm_userspace_memory_region2.sizeof());
        // The short struct is the beginning of the long one.
        region.copyFrom(argument.read(0, kvm_userspace_memory_region.sizeof()));
        Refusal.when((kvm_userspace_memory_region2.flags(region) & kvm_h.KVM_MEM_GUEST_MEMFD()) != 0, EINVAL);
        vm.slots().set(region);
        return 0;
    }

    private long setMemoryRegion2(Argument argument) {
        Refusal.when(!vm.machine().isAtLeast(KernelProfile.V6_12), ENOTTY);
        vm.slots().set(argument.read(0, kvm_userspace_memory_region2.sizeof()));
        return 0;
    }

    private long enableCapability(Argument argument) {
        MemorySegment capability = argument.read(0, kvm_enable_cap.sizeof());
        Refusal.when(kvm_enable_cap.flags(capability) != 0, EINVAL);
        if (kvm_enable_cap.cap(capability) != kvm_h.KVM_CAP_SPLIT_IRQCHIP()) {
            throw new NotModelledException("KVM_ENABLE_CAP of capability " + kvm_enable_cap.cap(capability));
        }
        return vm.interrupts().createSplit(kvm_enable_cap.args(capability, 0));
    }

    @Override
    protected void release() {
        vm.irqFds().clear();
        vm.put();
    }
}
