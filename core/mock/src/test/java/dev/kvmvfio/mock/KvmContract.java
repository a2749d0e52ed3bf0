package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_dirty_log;
import dev.kvmvfio.bindings.kvm.kvm_enable_cap;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_irq_level;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing_entry;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing_irqchip;
import dev.kvmvfio.bindings.kvm.kvm_msi;
import dev.kvmvfio.bindings.kvm.kvm_pit_config;
import dev.kvmvfio.bindings.kvm.kvm_userspace_memory_region;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What KVM answers, asserted on whatever kernel a subclass gives: the mock must pass what the real one passes. */
abstract class KvmContract {
    private static final long BAD_ADDRESS = 8;
    private static final int PAGE = 4096;

    private Kernel kernel;
    private Calls calls;
    private int kvm;
    private int vm;

    abstract Kernel kernel();

    @BeforeEach
    void openKvm() {
        kernel = kernel();
        calls = new Calls(kernel);
        kvm = calls.open("/dev/kvm");
        assertThat(kvm).isNotNegative();
        vm = calls.createVm(kvm);
        assertThat(vm).isNotNegative();
    }

    @AfterEach
    void closeKvm() {
        calls.close(vm, kvm);
        if (kernel instanceof MockKernel mock) {
            mock.close();
        }
    }

    private Errno ioctl(int fd, long request, MemorySegment argument) {
        return errno(kernel.ioctl(fd, request, argument));
    }

    private Errno ioctl(int fd, long request, long argument) {
        return errno(kernel.ioctl(fd, request, argument));
    }

    @Test
    void theSystemFileAnswersNumbers() {
        assertThat(kernel.ioctl(kvm, kvm_h.KVM_GET_API_VERSION(), 0)).isEqualTo(12);
        assertThat(ioctl(kvm, kvm_h.KVM_GET_API_VERSION(), 1)).isEqualTo(Errno.EINVAL);
        assertThat(kernel.ioctl(kvm, kvm_h.KVM_GET_VCPU_MMAP_SIZE(), 0)).isEqualTo(3 * PAGE);
        assertThat(ioctl(kvm, kvm_h.KVM_GET_VCPU_MMAP_SIZE(), 1)).isEqualTo(Errno.EINVAL);
        assertThat(ioctl(kvm, kvm_h.KVM_CREATE_VM(), 77)).isEqualTo(Errno.EINVAL);
    }

    @Test
    void capabilitiesThatTheLibraryAsksFor() {
        for (int one : new int[]{kvm_h.KVM_CAP_USER_MEMORY(), kvm_h.KVM_CAP_IRQFD(), kvm_h.KVM_CAP_IRQFD_RESAMPLE(),
            kvm_h.KVM_CAP_DEVICE_CTRL(), kvm_h.KVM_CAP_SIGNAL_MSI(), kvm_h.KVM_CAP_READONLY_MEM(),
            kvm_h.KVM_CAP_CHECK_EXTENSION_VM(), kvm_h.KVM_CAP_IOEVENTFD(), kvm_h.KVM_CAP_IRQCHIP(),
            kvm_h.KVM_CAP_SPLIT_IRQCHIP(), kvm_h.KVM_CAP_IMMEDIATE_EXIT(), kvm_h.KVM_CAP_SET_TSS_ADDR(),
            kvm_h.KVM_CAP_IOEVENTFD_ANY_LENGTH(), kvm_h.KVM_CAP_IOEVENTFD_NO_LENGTH(),
            kvm_h.KVM_CAP_ENABLE_CAP_VM(), kvm_h.KVM_CAP_SET_IDENTITY_MAP_ADDR(),
            kvm_h.KVM_CAP_DESTROY_MEMORY_REGION_WORKS(), kvm_h.KVM_CAP_JOIN_MEMORY_REGIONS_WORKS(),
            kvm_h.KVM_CAP_INTERNAL_ERROR_DATA(), kvm_h.KVM_CAP_EXT_CPUID(), kvm_h.KVM_CAP_COALESCED_PIO(),
            kvm_h.KVM_CAP_USER_MEMORY2()}) {
            assertThat(kernel.ioctl(kvm, kvm_h.KVM_CHECK_EXTENSION(), one)).as("capability %d", one).isEqualTo(1);
        }
        assertThat(kernel.ioctl(kvm, kvm_h.KVM_CHECK_EXTENSION(), kvm_h.KVM_CAP_NR_MEMSLOTS())).isEqualTo(32764);
        assertThat(kernel.ioctl(vm, kvm_h.KVM_CHECK_EXTENSION(), kvm_h.KVM_CAP_IRQ_ROUTING())).isEqualTo(4096);
        assertThat(mostVcpuIds()).isEqualTo(
                4 * kernel.ioctl(vm, kvm_h.KVM_CHECK_EXTENSION(), kvm_h.KVM_CAP_MAX_VCPUS()));
        assertThat(kernel.ioctl(vm, kvm_h.KVM_CHECK_EXTENSION(), kvm_h.KVM_CAP_COALESCED_MMIO())).isEqualTo(2);
        assertThat(kernel.ioctl(vm, kvm_h.KVM_CHECK_EXTENSION(), 9999)).isZero();
    }

    /** How many there are is chosen when a kernel is built. */
    private int mostVcpuIds() {
        return kernel.ioctl(vm, kvm_h.KVM_CHECK_EXTENSION(), kvm_h.KVM_CAP_MAX_VCPU_ID());
    }

    @Test
    void unknownCalls() {
        long unknown = 0xaeee;
        int device = calls.createVfioDevice(vm);
        int vcpu = kernel.ioctl(vm, kvm_h.KVM_CREATE_VCPU(), 0);
        assertThat(ioctl(kvm, unknown, 0)).isEqualTo(Errno.EINVAL);
        assertThat(ioctl(vm, unknown, 0)).isEqualTo(Errno.ENOTTY);
        assertThat(ioctl(vm, kvm_h.KVM_SET_DEVICE_ATTR(), 0)).isEqualTo(Errno.ENOTTY);
        assertThat(ioctl(device, unknown, 0)).isEqualTo(Errno.ENOTTY);
        assertThat(ioctl(vcpu, unknown, 0)).isEqualTo(Errno.EINVAL);
        calls.close(device, vcpu);
    }

    @Test
    void aDeviceIsCreatedOncePerVm() {
        MemorySegment struct = calls.struct(kvm_create_device.layout());
        kvm_create_device.fd(struct, 4711);
        int test = kvm_h.KVM_CREATE_DEVICE_TEST();
        assertThat(calls.createDevice(vm, kvm_h.KVM_DEV_TYPE_VFIO(), test, struct)).isZero();
        assertThat(kvm_create_device.fd(struct)).isEqualTo(4711);
        assertThat(errno(calls.createDevice(vm, 77, test, struct))).isEqualTo(Errno.ENODEV);
        assertThat(errno(calls.createDevice(vm, kvm_h.KVM_DEV_TYPE_XICS(), 0, struct))).isEqualTo(Errno.ENODEV);
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_DEVICE(), BAD_ADDRESS)).isEqualTo(Errno.EFAULT);

        int device = calls.createVfioDevice(vm);
        assertThat(device).isNotNegative();
        assertThat(errno(calls.createVfioDevice(vm))).isEqualTo(Errno.EBUSY);
        assertThat(calls.createDevice(vm, kvm_h.KVM_DEV_TYPE_VFIO(), test, struct)).isZero();
        kernel.close(device);
        device = calls.createVfioDevice(vm);
        assertThat(device).isNotNegative();
        kernel.close(device);
    }

    @Test
    void aDeviceOutlivesTheFileOfItsVm() {
        int other = calls.createVm(kvm);
        int device = calls.createVfioDevice(other);
        kernel.close(other);
        assertThat(errno(calls.fileDel(device, kvm))).isEqualTo(Errno.ENOENT);
        kernel.close(device);
    }

    @Test
    void attributesOfTheVfioDevice() {
        int device = calls.createVfioDevice(vm);
        int group = kvm_h.KVM_DEV_VFIO_FILE();
        long has = kvm_h.KVM_HAS_DEVICE_ATTR();
        long set = kvm_h.KVM_SET_DEVICE_ATTR();
        assertThat(ioctl(device, kvm_h.KVM_GET_DEVICE_ATTR(), BAD_ADDRESS)).isEqualTo(Errno.EPERM);
        assertThat(calls.attr(device, has, group, kvm_h.KVM_DEV_VFIO_FILE_ADD(), 0)).isZero();
        assertThat(calls.attr(device, has, group, kvm_h.KVM_DEV_VFIO_FILE_DEL(), 0)).isZero();
        int spapr = kvm_h.KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE();
        assertThat(errno(calls.attr(device, has, group, spapr, 0))).isEqualTo(Errno.ENXIO);
        assertThat(errno(calls.attr(device, has, 2, 1, 0))).isEqualTo(Errno.ENXIO);
        assertThat(errno(calls.attr(device, set, group, 9, 0))).isEqualTo(Errno.ENXIO);
        assertThat(errno(calls.attr(device, set, 0, 1, 0))).isEqualTo(Errno.ENXIO);
        assertThat(ioctl(device, set, BAD_ADDRESS)).isEqualTo(Errno.EFAULT);
        assertThat(ioctl(device, has, BAD_ADDRESS)).isEqualTo(Errno.EFAULT);

        MemorySegment attr = calls.struct(kvm_device_attr.layout());
        kvm_device_attr.flags(attr, -1);
        kvm_device_attr.group(attr, group);
        kvm_device_attr.attr(attr, kvm_h.KVM_DEV_VFIO_FILE_ADD());
        assertThat(ioctl(device, has, attr)).as("flags are ignored").isNull();
        kernel.close(device);
    }

    @Test
    void filesThatAreNotOfVfio() {
        int device = calls.createVfioDevice(vm);
        long set = kvm_h.KVM_SET_DEVICE_ATTR();
        int group = kvm_h.KVM_DEV_VFIO_FILE();
        assertThat(errno(calls.attr(device, set, group, 1, BAD_ADDRESS))).isEqualTo(Errno.EFAULT);
        assertThat(errno(calls.attr(device, set, group, 2, BAD_ADDRESS))).isEqualTo(Errno.EFAULT);
        assertThat(errno(calls.attr(device, set, group, 1, -8))).isEqualTo(Errno.EFAULT);
        assertThat(errno(calls.fileAdd(device, -1))).isEqualTo(Errno.EBADF);
        assertThat(errno(calls.fileAdd(device, 1000))).isEqualTo(Errno.EBADF);
        assertThat(errno(calls.fileAdd(device, kvm))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.fileAdd(device, device))).isEqualTo(Errno.EINVAL);
        assertThat(errno(calls.fileDel(device, -1))).isEqualTo(Errno.EBADF);
        assertThat(errno(calls.fileDel(device, vm))).isEqualTo(Errno.ENOENT);
        kernel.close(device);
    }

    private Errno slot(int slot, int flags, long guestAddress, long size, long userAddress) {
        MemorySegment region = calls.struct(kvm_userspace_memory_region.layout());
        kvm_userspace_memory_region.slot(region, slot);
        kvm_userspace_memory_region.flags(region, flags);
        kvm_userspace_memory_region.guest_phys_addr(region, guestAddress);
        kvm_userspace_memory_region.memory_size(region, size);
        kvm_userspace_memory_region.userspace_addr(region, userAddress);
        return ioctl(vm, kvm_h.KVM_SET_USER_MEMORY_REGION(), region);
    }

    @Test
    void memorySlots() {
        long memory = calls.mapMemory(8 * PAGE);
        assertThat(slot(0, 0, 0, 4 * PAGE, memory)).isNull();
        assertThat(slot(0, 0, 0, 4 * PAGE, memory)).as("the same again").isNull();
        assertThat(slot(0, 0, 0, 2 * PAGE, memory)).as("another size").isEqualTo(Errno.EINVAL);
        assertThat(slot(0, 0, 0, 4 * PAGE, memory + PAGE)).as("other memory").isEqualTo(Errno.EINVAL);
        int readOnly = (int) kvm_h.KVM_MEM_READONLY();
        assertThat(slot(0, readOnly, 0, 4 * PAGE, memory)).as("read-only").isEqualTo(Errno.EINVAL);
        assertThat(slot(1, 0, 3 * PAGE, PAGE, memory)).as("overlap").isEqualTo(Errno.EEXIST);
        assertThat(slot(1, 0, 16 * PAGE, PAGE, memory)).isNull();
        assertThat(slot(1, 0, 0, PAGE, memory)).as("moved onto another").isEqualTo(Errno.EEXIST);
        assertThat(slot(1, 0, 17 * PAGE, PAGE, memory)).as("moved").isNull();
        assertThat(slot(2, 0, 1, PAGE, memory)).as("guest address").isEqualTo(Errno.EINVAL);
        assertThat(slot(2, 0, 32 * PAGE, PAGE, memory + 1)).as("user address").isEqualTo(Errno.EINVAL);
        assertThat(slot(2, 0, 32 * PAGE, PAGE + 1, memory)).as("size").isEqualTo(Errno.EINVAL);
        assertThat(slot(2, 1 << 5, 32 * PAGE, PAGE, memory)).as("flag").isEqualTo(Errno.EINVAL);
        assertThat(slot(32764, 0, 32 * PAGE, PAGE, memory)).as("slot number").isEqualTo(Errno.EINVAL);
        assertThat(slot(0x20000, 0, 32 * PAGE, PAGE, memory)).as("address space").isEqualTo(Errno.EINVAL);
        assertThat(slot(2, 0, -PAGE, 2 * PAGE, memory)).as("wrap").isEqualTo(Errno.EINVAL);
        assertThat(slot(2, 0, 32 * PAGE, PAGE, -PAGE)).as("kernel address").isEqualTo(Errno.EINVAL);
        assertThat(slot(2, 0, 0, 0, 0)).as("nothing to delete").isEqualTo(Errno.EINVAL);
        assertThat(slot(0, 0, 0, 0, 0)).isNull();
        assertThat(slot(0, 0, 0, 0, 0)).isEqualTo(Errno.EINVAL);
        assertThat(ioctl(vm, kvm_h.KVM_SET_USER_MEMORY_REGION(), BAD_ADDRESS)).isEqualTo(Errno.EFAULT);
        kernel.munmap(memory, 8 * PAGE);
    }

    private Errno dirtyLog(int slot, MemorySegment bitmap) {
        MemorySegment log = calls.struct(kvm_dirty_log.layout());
        kvm_dirty_log.slot(log, slot);
        kvm_dirty_log.dirty_bitmap(log, bitmap);
        return ioctl(vm, kvm_h.KVM_GET_DIRTY_LOG(), log);
    }

    @Test
    void dirtyLog() {
        long memory = calls.mapMemory(PAGE);
        MemorySegment bitmap = calls.bytes(Long.BYTES).fill((byte) 0x55);
        assertThat(dirtyLog(5, bitmap)).isEqualTo(Errno.ENOENT);
        assertThat(slot(5, 0, 0, PAGE, memory)).isNull();
        assertThat(dirtyLog(5, bitmap)).isEqualTo(Errno.ENOENT);
        assertThat(slot(5, (int) kvm_h.KVM_MEM_LOG_DIRTY_PAGES(), 0, PAGE, memory)).isNull();
        assertThat(dirtyLog(5, bitmap)).isNull();
        assertThat(bitmap.get(ValueLayout.JAVA_LONG, 0)).isZero();
        assertThat(dirtyLog(5, MemorySegment.ofAddress(BAD_ADDRESS))).isEqualTo(Errno.EFAULT);
        assertThat(dirtyLog(40000, bitmap)).isEqualTo(Errno.EINVAL);
        kernel.munmap(memory, PAGE);
    }

    private Errno irqFd(int machine, int fd, int gsi, int flags, int resampleFd) {
        return errno(calls.irqFd(machine, fd, gsi, flags, resampleFd));
    }

    @Test
    void irqFds() {
        int deassign = kvm_h.KVM_IRQFD_FLAG_DEASSIGN();
        int resample = kvm_h.KVM_IRQFD_FLAG_RESAMPLE();
        int eventFd = calls.eventFd();
        int other = calls.eventFd();
        assertThat(irqFd(vm, eventFd, 5, 0, 0)).as("no interrupt controller").isEqualTo(Errno.EINVAL);
        assertThat(irqFd(vm, eventFd, 5, deassign, 0)).isNull();
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_IRQCHIP(), 0)).isNull();
        assertThat(irqFd(vm, eventFd, 5, 1 << 4, 0)).isEqualTo(Errno.EINVAL);
        assertThat(irqFd(vm, 1000, 5, 0, 0)).isEqualTo(Errno.EBADF);
        assertThat(irqFd(vm, kvm, 5, 0, 0)).isEqualTo(Errno.EINVAL);
        assertThat(irqFd(vm, eventFd, 5, resample, 1000)).isEqualTo(Errno.EBADF);
        assertThat(irqFd(vm, eventFd, 5, resample, kvm)).isEqualTo(Errno.EINVAL);
        assertThat(irqFd(vm, eventFd, 5, 0, 0)).isNull();
        assertThat(irqFd(vm, eventFd, 6, 0, 0)).as("the same eventfd").isEqualTo(Errno.EBUSY);
        assertThat(irqFd(vm, other, 5, resample, eventFd)).as("the same GSI").isNull();
        assertThat(irqFd(vm, other, 9, deassign, 0)).as("another GSI").isNull();
        assertThat(irqFd(vm, other, 9, 0, 0)).as("still assigned").isEqualTo(Errno.EBUSY);
        assertThat(irqFd(vm, other, 5, deassign, 0)).isNull();
        assertThat(irqFd(vm, other, 1 << 20, 0, 0)).as("a GSI that no chip has").isNull();
        assertThat(irqFd(vm, 1000, 5, deassign, 0)).isEqualTo(Errno.EBADF);
        calls.close(eventFd, other);
    }

    @Test
    void aSignalOfAnIrqFdIsTakenByTheVm() {
        ioctl(vm, kvm_h.KVM_CREATE_IRQCHIP(), 0);
        int eventFd = calls.eventFd();
        assertThat(irqFd(vm, eventFd, 5, 0, 0)).isNull();
        calls.signal(eventFd);
        assertThat(calls.take(eventFd)).isZero();
        assertThat(irqFd(vm, eventFd, 5, kvm_h.KVM_IRQFD_FLAG_DEASSIGN(), 0)).isNull();
        calls.signal(eventFd);
        assertThat(calls.take(eventFd)).isEqualTo(1);
        calls.signal(eventFd);
        assertThat(irqFd(vm, eventFd, 5, 0, 0)).isNull();
        assertThat(irqFd(vm, eventFd, 5, kvm_h.KVM_IRQFD_FLAG_DEASSIGN(), 0)).isNull();
        assertThat(calls.take(eventFd)).as("taken when it was deassigned").isZero();
        kernel.close(eventFd);
    }

    private Errno ioEventFd(int fd, long address, int length, int flags, long match) {
        return errno(calls.ioEventFd(vm, fd, address, length, flags, match));
    }

    @Test
    void ioEventFds() {
        int eventFd = calls.eventFd();
        int match = kvm_h.KVM_IOEVENTFD_FLAG_DATAMATCH();
        int deassign = kvm_h.KVM_IOEVENTFD_FLAG_DEASSIGN();
        int port = kvm_h.KVM_IOEVENTFD_FLAG_PIO();
        assertThat(ioEventFd(eventFd, 0x1000, 4, match, 7)).isNull();
        assertThat(ioEventFd(eventFd, 0x1000, 4, match, 7)).isEqualTo(Errno.EEXIST);
        assertThat(ioEventFd(eventFd, 0x1000, 4, match, 8)).as("another value").isNull();
        assertThat(ioEventFd(eventFd, 0x1000, 4, 0, 0)).as("any value").isEqualTo(Errno.EEXIST);
        assertThat(ioEventFd(eventFd, 0x1000, 2, 0, 0)).as("another length").isNull();
        assertThat(ioEventFd(eventFd, 0x1000, 0, 0, 0)).as("any length").isEqualTo(Errno.EEXIST);
        assertThat(ioEventFd(eventFd, 0x1000, 4, port, 0)).as("a port").isNull();
        assertThat(ioEventFd(eventFd, 0x2000, 3, 0, 0)).isEqualTo(Errno.EINVAL);
        assertThat(ioEventFd(eventFd, 0x2000, 16, 0, 0)).isEqualTo(Errno.EINVAL);
        assertThat(ioEventFd(eventFd, 0x2000, 0, match, 0)).isEqualTo(Errno.EINVAL);
        assertThat(ioEventFd(eventFd, 0x2000, 4, 1 << 6, 0)).isEqualTo(Errno.EINVAL);
        assertThat(ioEventFd(eventFd, -2, 4, 0, 0)).isEqualTo(Errno.EINVAL);
        assertThat(ioEventFd(1000, 0x2000, 4, 0, 0)).isEqualTo(Errno.EBADF);
        assertThat(ioEventFd(kvm, 0x2000, 4, 0, 0)).isEqualTo(Errno.EINVAL);
        assertThat(ioEventFd(eventFd, 0x1000, 4, deassign | match, 9)).isEqualTo(Errno.ENOENT);
        assertThat(ioEventFd(eventFd, 0x1000, 4, deassign | match, 7)).isNull();
        assertThat(ioEventFd(eventFd, 0x1000, 4, deassign | match, 7)).isEqualTo(Errno.ENOENT);
        assertThat(ioEventFd(eventFd, 0x3000, 0, 0, 0)).isNull();
        assertThat(ioEventFd(eventFd, 0x3000, 0, deassign, 0)).isNull();
        assertThat(ioEventFd(eventFd, 0x3000, 0, 0, 0)).as("again").isNull();
        kernel.close(eventFd);
    }

    /** Sets routes of chips: GSI, chip, pin for each; answers the errno. */
    private Errno routes(int flags, int... routes) {
        int count = routes.length / 3;
        long array = kvm_irq_routing.entries$offset();
        MemorySegment table = calls.bytes(array + count * kvm_irq_routing_entry.sizeof());
        kvm_irq_routing.nr(table, count);
        kvm_irq_routing.flags(table, flags);
        for (int i = 0; i < count; i++) {
            MemorySegment entry = kvm_irq_routing_entry.asSlice(table.asSlice(array), i);
            kvm_irq_routing_entry.gsi(entry, routes[3 * i]);
            kvm_irq_routing_entry.type(entry, kvm_h.KVM_IRQ_ROUTING_IRQCHIP());
            MemorySegment chip = kvm_irq_routing_entry.u.irqchip(kvm_irq_routing_entry.u(entry));
            kvm_irq_routing_irqchip.irqchip(chip, routes[3 * i + 1]);
            kvm_irq_routing_irqchip.pin(chip, routes[3 * i + 2]);
        }
        return ioctl(vm, kvm_h.KVM_SET_GSI_ROUTING(), table);
    }

    @Test
    void interruptRoutes() {
        int apic = kvm_x86_64_h.KVM_IRQCHIP_IOAPIC();
        assertThat(routes(0)).as("no interrupt controller").isEqualTo(Errno.EINVAL);
        ioctl(vm, kvm_h.KVM_CREATE_IRQCHIP(), 0);
        assertThat(routes(0)).as("none at all").isNull();
        assertThat(routes(1)).isEqualTo(Errno.EINVAL);
        assertThat(routes(0, 5, 0, 5, 5, apic, 5)).as("both chips").isNull();
        assertThat(routes(0, 5, apic, 5, 5, apic, 6)).as("one chip twice").isEqualTo(Errno.EINVAL);
        assertThat(routes(0, 4096, apic, 5)).as("GSI").isEqualTo(Errno.EINVAL);
        assertThat(routes(0, 4095, apic, 5)).isNull();
        assertThat(routes(0, 5, apic, 24)).as("pin").isEqualTo(Errno.EINVAL);
        assertThat(routes(0, 5, 1, 8)).as("pin").isEqualTo(Errno.EINVAL);
        assertThat(routes(0, 5, 3, 0)).as("chip").isEqualTo(Errno.EINVAL);
        MemorySegment tooMany = calls.bytes(kvm_irq_routing.entries$offset());
        kvm_irq_routing.nr(tooMany, 4097);
        assertThat(ioctl(vm, kvm_h.KVM_SET_GSI_ROUTING(), tooMany)).isEqualTo(Errno.EINVAL);
    }

    @Test
    void interruptChips() {
        MemorySegment pit = calls.struct(kvm_pit_config.layout());
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_PIT2(), pit)).as("no chips yet").isEqualTo(Errno.ENOENT);
        MemorySegment line = calls.struct(kvm_irq_level.layout());
        assertThat(ioctl(vm, kvm_h.KVM_IRQ_LINE(), line)).isEqualTo(Errno.ENXIO);
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_IRQCHIP(), 0)).isNull();
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_IRQCHIP(), 0)).isEqualTo(Errno.EEXIST);
        assertThat(ioctl(vm, kvm_h.KVM_IRQ_LINE(), line)).isNull();
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_PIT2(), pit)).isNull();
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_PIT2(), pit)).isEqualTo(Errno.EEXIST);
        assertThat(enableSplitIrqChip(24, 0)).isEqualTo(Errno.EEXIST);
        assertThat(ioctl(vm, kvm_h.KVM_SET_TSS_ADDR(), 0xfffb_d000L)).isNull();
    }

    private Errno enableSplitIrqChip(long pins, int flags) {
        MemorySegment capability = calls.struct(kvm_enable_cap.layout());
        kvm_enable_cap.cap(capability, kvm_h.KVM_CAP_SPLIT_IRQCHIP());
        kvm_enable_cap.flags(capability, flags);
        kvm_enable_cap.args(capability, 0, pins);
        return ioctl(vm, kvm_h.KVM_ENABLE_CAP(), capability);
    }

    @Test
    void splitInterruptChips() {
        assertThat(enableSplitIrqChip(24, 1)).isEqualTo(Errno.EINVAL);
        assertThat(enableSplitIrqChip(5000, 0)).isEqualTo(Errno.EINVAL);
        assertThat(enableSplitIrqChip(24, 0)).isNull();
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_IRQCHIP(), 0)).isEqualTo(Errno.EEXIST);
        int eventFd = calls.eventFd();
        assertThat(irqFd(vm, eventFd, 5, kvm_h.KVM_IRQFD_FLAG_RESAMPLE(), eventFd)).isEqualTo(Errno.EINVAL);
        assertThat(irqFd(vm, eventFd, 5, 0, 0)).isNull();
        assertThat(routes(0, 5, 0, 5)).as("a chip that is not there").isEqualTo(Errno.EINVAL);
        kernel.close(eventFd);
    }

    @Test
    void vcpus() {
        int vcpu = kernel.ioctl(vm, kvm_h.KVM_CREATE_VCPU(), 3);
        assertThat(vcpu).isNotNegative();
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_VCPU(), 3)).isEqualTo(Errno.EEXIST);
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_VCPU(), mostVcpuIds())).isEqualTo(Errno.EINVAL);
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_VCPU(), -1)).isEqualTo(Errno.EINVAL);
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_IRQCHIP(), 0)).as("after a vCPU").isEqualTo(Errno.EINVAL);
        assertThat(ioctl(vm, kvm_h.KVM_SET_BOOT_CPU_ID(), 0)).isEqualTo(Errno.EBUSY);
        int readWrite = system_h.PROT_READ() | system_h.PROT_WRITE();
        long run = kernel.mmap(3 * PAGE, readWrite, system_h.MAP_SHARED(), vcpu, 0);
        assertThat(run).isPositive();
        assertThat(kernel.munmap(run, 3 * PAGE)).isZero();
        int tsc = kvm_x86_64_h.KVM_VCPU_TSC_CTRL();
        int offset = kvm_x86_64_h.KVM_VCPU_TSC_OFFSET();
        assertThat(calls.attr(vcpu, kvm_h.KVM_HAS_DEVICE_ATTR(), tsc, offset, 0)).isZero();
        assertThat(errno(calls.attr(vcpu, kvm_h.KVM_HAS_DEVICE_ATTR(), 9, offset, 0))).isEqualTo(Errno.ENXIO);
        assertThat(errno(calls.attr(vcpu, kvm_h.KVM_GET_DEVICE_ATTR(), tsc, offset, BAD_ADDRESS)))
                .isEqualTo(Errno.EFAULT);
        kernel.close(vcpu);
        assertThat(ioctl(vm, kvm_h.KVM_CREATE_VCPU(), 3)).as("its file is closed").isEqualTo(Errno.EEXIST);
    }

    @Test
    void messages() {
        MemorySegment msi = calls.struct(kvm_msi.layout());
        kvm_msi.address_lo(msi, 0xfee0_0000);
        kvm_msi.data(msi, 0x31);
        assertThat(ioctl(vm, kvm_h.KVM_SIGNAL_MSI(), msi)).as("no interrupt controller").isEqualTo(Errno.EINVAL);
        ioctl(vm, kvm_h.KVM_CREATE_IRQCHIP(), 0);
        assertThat(ioctl(vm, kvm_h.KVM_SIGNAL_MSI(), msi)).as("no vCPU").isEqualTo(Errno.EPERM);
        int vcpu = kernel.ioctl(vm, kvm_h.KVM_CREATE_VCPU(), 0);
        assertThat(kernel.ioctl(vm, kvm_h.KVM_SIGNAL_MSI(), msi)).as("switched off").isZero();
        kvm_msi.flags(msi, 1 << 3);
        assertThat(ioctl(vm, kvm_h.KVM_SIGNAL_MSI(), msi)).isEqualTo(Errno.EINVAL);
        kernel.close(vcpu);
    }

    @Test
    void filesOfKvmHaveNoContent() {
        int device = calls.createVfioDevice(vm);
        MemorySegment buffer = calls.bytes(8);
        assertThat(errno(kernel.read(kvm, buffer))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.write(vm, buffer))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.pread(kvm, buffer, 0))).isEqualTo(Errno.EINVAL);
        assertThat(errno(kernel.pread(vm, buffer, 0))).isEqualTo(Errno.ESPIPE);
        assertThat(errno(kernel.pwrite(device, buffer, 0))).isEqualTo(Errno.ESPIPE);
        assertThat(errno(kernel.mmap(PAGE, system_h.PROT_READ(), system_h.MAP_SHARED(), device, 0)))
                .isEqualTo(Errno.ENODEV);
        assertThat(errno(kernel.mmap(PAGE, system_h.PROT_READ(), system_h.MAP_SHARED(), vm, 0)))
                .isEqualTo(Errno.ENODEV);
        assertThat(kernel.poll(vm, system_h.POLLIN() | system_h.POLLOUT(), 0))
                .isEqualTo(system_h.POLLIN() | system_h.POLLOUT());
        kernel.close(device);
    }
}
