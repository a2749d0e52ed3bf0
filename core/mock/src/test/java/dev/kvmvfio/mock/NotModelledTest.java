package dev.kvmvfio.mock;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.iommufd.iommu_ioas_map_file;
import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.kvm.kvm_enable_cap;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing;
import dev.kvmvfio.bindings.kvm.kvm_irq_routing_entry;
import dev.kvmvfio.bindings.kvm.kvm_mp_state;
import dev.kvmvfio.bindings.kvm.kvm_msi;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msr_entry;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_msrs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.bindings.vfio.vfio_device_attach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_feature;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dirty_bitmap;
import dev.kvmvfio.mock.internal.iommufd.IommufdTables;
import dev.kvmvfio.mock.internal.kvm.KvmTables;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.vfio.VfioTables;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Each thing that is not modelled says so by its name, and is listed where users look. */
class NotModelledTest {
    private static final String EDU = "0000:6a:01.0";
    private static final String NVME = "0000:6c:00.0";
    private static final long PAGE = 4096;
    private static final int TIME_STAMP_COUNTER = 0x10;
    /** Of an ioctl that x86-64 has. */
    private static final Pattern ROW = Pattern.compile(
            "^\\| (KVM_\\w+) \\| (?!powerpc|s390|riscv|loongarch|Powerpc)", Pattern.MULTILINE);

    private MockKernel kernel;
    private Calls calls;
    private int kvm;
    private int vm;
    private int vcpu;
    private int cdev;
    private int iommufd;
    private int ioas;
    private int container;

    private record Call(String says, Runnable made) {
    }

    @BeforeEach
    void open() {
        kernel = MockKernel.host(KernelProfile.V7_2).device(EDU, d -> d.edu().group(26).cdev("vfio0"))
                .device("0000:6b:00.0", d -> d.group(27))
                .device(NVME, d -> d.group(28).driver("nvme").disk("nvme0n1")).start();
        calls = new Calls(kernel);
        kvm = calls.open("/dev/kvm");
        vm = calls.createVm(kvm);
        kernel.ioctl(vm, kvm_h.KVM_CREATE_IRQCHIP(), 0);
        vcpu = kernel.ioctl(vm, kvm_h.KVM_CREATE_VCPU(), 0);
        int[] files = calls.attachCdev("vfio0");
        cdev = files[0];
        iommufd = files[1];
        ioas = files[2];
        container = calls.openGroup(27, vfio_h.VFIO_TYPE1v2_IOMMU())[1];
    }

    /** What a call that was not modelled leaves open is not what is tested. */
    @AfterEach
    void close() {
        assertThatThrownBy(kernel::close).hasMessageContaining("left behind");
    }

    @TestFactory
    Stream<DynamicTest> saysSo() {
        return all().stream().map(call -> DynamicTest.dynamicTest(call.says, () -> assertThatThrownBy(call.made::run)
                .isInstanceOf(NotModelledException.class).hasMessageContaining(call.says)));
    }

    @Test
    void isListed() throws Exception {
        String list = Files.readString(Path.of("src/main/java/dev/kvmvfio/mock/model/NotModelledException.java"),
                StandardCharsets.UTF_8).replaceAll("\\s+\\*?\\s*", " ").replaceAll("\\{@code (\\w+)}", "$1");
        assertThat(all()).allSatisfy(call -> assertThat(list).contains(call.says));
    }

    /** A contributor, or a program that makes a raw call, finds the row in core's table. */
    @Test
    void eachIoctlOfKvmIsAnsweredOrSaysSo() throws Exception {
        String table = Files.readString(Path.of("../IOCTLS.md")).split("\n## ")[1];
        List<String> names = ROW.matcher(table).results().map(row -> row.group(1))
                .filter(name -> !name.startsWith("KVM_ARM_")).toList();
        assertThat(names).hasSizeGreaterThan(90).contains("KVM_GET_LAPIC").allSatisfy(name -> {
            long number = ((Number) numbers(name).getMethod(name).invoke(null)).longValue();
            assertThat(Stream.of(KvmTables.SYSTEM, KvmTables.VM, KvmTables.VCPU)).as(name)
                    .anyMatch(ioctls -> ioctls.has(number));
        });
    }

    private static Class<?> numbers(String name) {
        return Stream.of(kvm_h.class.getMethods()).anyMatch(method -> method.getName().equals(name))
                ? kvm_h.class
                : kvm_x86_64_h.class;
    }

    private List<Call> all() {
        List<Call> all = new ArrayList<>();
        all.addAll(ioctls(KvmTables.SYSTEM, kvm));
        all.addAll(ioctls(KvmTables.VM, vm));
        all.addAll(ioctls(KvmTables.VCPU, vcpu));
        all.addAll(ioctls(VfioTables.DEVICE, cdev));
        all.addAll(ioctls(IommufdTables.IOMMUFD, iommufd));
        all.addAll(ofKvm());
        all.addAll(ofVcpus());
        all.addAll(ofVfio());
        all.addAll(ofIommufd());
        all.addAll(ofMemoryAndFiles());
        all.addAll(ofTheSeam());
        return all;
    }

    private List<Call> ioctls(IoctlTable<?> ioctls, int fd) {
        return ioctls.notModelled().entrySet().stream()
                .map(ioctl -> new Call(ioctl.getKey(), () -> kernel.ioctl(fd, ioctl.getValue(), calls.bytes(PAGE))))
                .toList();
    }

    private List<Call> ofKvm() {
        MemorySegment capability = calls.struct(kvm_enable_cap.layout());
        kvm_enable_cap.cap(capability, kvm_h.KVM_CAP_DIRTY_LOG_RING());
        MemorySegment message = calls.struct(kvm_msi.layout());
        kvm_msi.data(message, 0x400);
        return List.of(new Call("an attribute of the processor",
                () -> kernel.ioctl(kvm, kvm_h.KVM_GET_DEVICE_ATTR(), calls.bytes(64))),
                new Call("KVM_ENABLE_CAP of", () -> kernel.ioctl(vm, kvm_h.KVM_ENABLE_CAP(), capability)),
                new Call("KVM_SIGNAL_MSI with a delivery mode other than fixed",
                        () -> kernel.ioctl(vm, kvm_h.KVM_SIGNAL_MSI(), message)),
                new Call("an interrupt route of type", () -> route(kvm_h.KVM_IRQ_ROUTING_HV_SINT())),
                new Call("an interrupt route of type", () -> route(kvm_h.KVM_IRQ_ROUTING_XEN_EVTCHN())));
    }

    private void route(int type) {
        MemorySegment table = calls.bytes(kvm_irq_routing.sizeof() + kvm_irq_routing_entry.sizeof());
        kvm_irq_routing.nr(table, 1);
        kvm_irq_routing_entry.type(table.asSlice(kvm_irq_routing.sizeof()), type);
        kernel.ioctl(vm, kvm_h.KVM_SET_GSI_ROUTING(), table);
    }

    private List<Call> ofVcpus() {
        MemorySegment state = calls.struct(kvm_mp_state.layout());
        kvm_mp_state.mp_state(state, kvm_h.KVM_MP_STATE_HALTED());
        return List.of(
                new Call("a mapping of pages that a vCPU does not have",
                        () -> kernel.mmap(1 << 20, 3, system_h.MAP_SHARED(), vcpu, 0)),
                new Call("KVM_ENABLE_CAP of a vCPU", this::enableForVcpu),
                new Call("a register by its number",
                        () -> kernel.ioctl(vcpu, kvm_h.KVM_GET_REG_LIST(), calls.bytes(PAGE))),
                new Call("KVM_SET_MP_STATE of", () -> kernel.ioctl(vcpu, kvm_h.KVM_SET_MP_STATE(), state)),
                new Call("an MSR other than the common ones",
                        () -> kernel.ioctl(vcpu, kvm_x86_64_h.KVM_GET_MSRS(), msr(TIME_STAMP_COUNTER))),
                new Call("an MSR other than the common ones",
                        () -> kernel.ioctl(vcpu, kvm_x86_64_h.KVM_SET_MSRS(), msr(TIME_STAMP_COUNTER))),
                new Call("has no program", () -> kernel.ioctl(vcpu, kvm_h.KVM_RUN(), 0)),
                new Call("KVM_SET_CPUID2 of a vCPU that has run", this::setCpuidLate),
                new Call("an access of the guest to a chip in the kernel", () -> run(cpu -> cpu.in(0x20, 1))),
                new Call("an access of the guest to a chip in the kernel", () -> run(cpu -> cpu.read(0xfec0_0010L, 4))),
                // An interrupt command: a start-up message to vCPU 1, which waits for it.
                new Call("an access of the guest to a chip in the kernel",
                        () -> run(cpu -> cpu.write(0xfee0_0300L, 4, 0x4600))));
    }

    private void enableForVcpu() {
        MemorySegment capability = calls.struct(kvm_enable_cap.layout());
        kvm_enable_cap.cap(capability, kvm_h.KVM_CAP_HYPERV_SYNIC());
        kernel.ioctl(vcpu, kvm_h.KVM_ENABLE_CAP(), capability);
    }

    private void setCpuidLate() {
        int cpu = run(guest -> guest.out(0x80, 1, 0));
        kernel.ioctl(cpu, kvm_x86_64_h.KVM_SET_CPUID2(), calls.bytes(PAGE));
    }

    private MemorySegment msr(int index) {
        MemorySegment msrs = calls.bytes(kvm_msrs.sizeof() + kvm_msr_entry.sizeof());
        kvm_msrs.nmsrs(msrs, 1);
        kvm_msr_entry.index(msrs.asSlice(kvm_msrs.sizeof()), index);
        return msrs;
    }

    /** Runs a guest of its own, and answers with the vCPU. */
    private int run(Consumer<MockCpu> program) {
        int machine = calls.createVm(kvm);
        kernel.ioctl(machine, kvm_h.KVM_CREATE_IRQCHIP(), 0);
        int cpu = kernel.ioctl(machine, kvm_h.KVM_CREATE_VCPU(), 0);
        kernel.guest(machine).program(0, program);
        kernel.ioctl(cpu, kvm_h.KVM_RUN(), 0);
        return cpu;
    }

    private List<Call> ofVfio() {
        return List.of(new Call("VFIO_TYPE1_NESTING_IOMMU", this::nesting),
                new Call("VFIO_IOMMU_UNMAP_DMA with",
                        () -> calls.unmapDma(container, 0, PAGE, vfio_h.VFIO_DMA_UNMAP_FLAG_VADDR())),
                new Call("VFIO_IOMMU_UNMAP_DMA with",
                        () -> calls.unmapDma(container, 0, PAGE, vfio_h.VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP())),
                new Call("VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP", this::dirtyPages),
                new Call("VFIO_DEVICE_FEATURE_DMA_BUF",
                        () -> feature(vfio_h.VFIO_DEVICE_FEATURE_GET() | vfio_h.VFIO_DEVICE_FEATURE_DMA_BUF())),
                new Call("a device's low power state",
                        () -> feature(
                                vfio_h.VFIO_DEVICE_FEATURE_SET() | vfio_h.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY())),
                new Call("a PASID", this::attachPasid),
                new Call("mapping", () -> calls.mapBar(cdev, 0, 0, PAGE)), new Call("taking the driver", this::unbind));
    }

    /** Linux 7 has no nesting containers any more. */
    private void nesting() {
        try (MockKernel older = MockKernel.host(KernelProfile.V6_12).device(EDU, d -> d.group(26)).start()) {
            Calls mine = new Calls(older);
            int group = mine.open("/dev/vfio/26");
            int empty = mine.open("/dev/vfio/vfio");
            mine.setContainer(group, empty);
            try {
                older.ioctl(empty, vfio_h.VFIO_SET_IOMMU(), vfio_h.__VFIO_RESERVED_TYPE1_NESTING_IOMMU());
            } finally {
                mine.close(group, empty);
            }
        }
    }

    private void dirtyPages() {
        MemorySegment request = calls.struct(vfio_iommu_type1_dirty_bitmap.layout());
        vfio_iommu_type1_dirty_bitmap.argsz(request, (int) request.byteSize());
        vfio_iommu_type1_dirty_bitmap.flags(request, vfio_h.VFIO_IOMMU_DIRTY_PAGES_FLAG_START());
        kernel.ioctl(container, vfio_h.VFIO_IOMMU_DIRTY_PAGES(), request);
        vfio_iommu_type1_dirty_bitmap.flags(request, vfio_h.VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP());
        kernel.ioctl(container, vfio_h.VFIO_IOMMU_DIRTY_PAGES(), request);
    }

    private void feature(int flags) {
        MemorySegment feature = calls.bytes(64);
        vfio_device_feature.argsz(feature, 64);
        vfio_device_feature.flags(feature, flags);
        kernel.ioctl(cdev, vfio_h.VFIO_DEVICE_FEATURE(), feature);
    }

    private void attachPasid() {
        MemorySegment attach = calls.struct(vfio_device_attach_iommufd_pt.layout());
        vfio_device_attach_iommufd_pt.argsz(attach, (int) attach.byteSize());
        vfio_device_attach_iommufd_pt.flags(attach, vfio_h.VFIO_DEVICE_ATTACH_PASID());
        vfio_device_attach_iommufd_pt.pt_id(attach, ioas);
        kernel.ioctl(cdev, vfio_h.VFIO_DEVICE_ATTACH_IOMMUFD_PT(), attach);
    }

    private void unbind() {
        int file = kernel.open("/sys/bus/pci/devices/" + EDU + "/driver/unbind", system_h.O_WRONLY());
        kernel.write(file, calls.bytes(EDU.length()).copyFrom(MemorySegment.ofArray(EDU.getBytes())));
    }

    private List<Call> ofIommufd() {
        MemorySegment file = calls.struct(iommu_ioas_map_file.layout());
        iommu_ioas_map_file.size(file, (int) file.byteSize());
        iommu_ioas_map_file.flags(file, iommufd_h.IOMMU_IOAS_MAP_READABLE());
        iommu_ioas_map_file.ioas_id(file, ioas);
        iommu_ioas_map_file.fd(file, kvm);
        iommu_ioas_map_file.length(file, PAGE);
        return List.of(
                new Call("IOMMU_IOAS_MAP_FILE", () -> kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_MAP_FILE(), file)),
                iommufd("IOMMU_VIOMMU_ALLOC", iommufd_h.IOMMU_VIOMMU_ALLOC()),
                iommufd("IOMMU_VDEVICE_ALLOC", iommufd_h.IOMMU_VDEVICE_ALLOC()),
                iommufd("IOMMU_VEVENTQ_ALLOC", iommufd_h.IOMMU_VEVENTQ_ALLOC()),
                iommufd("IOMMU_HW_QUEUE_ALLOC", iommufd_h.IOMMU_HW_QUEUE_ALLOC()));
    }

    private Call iommufd(String name, long request) {
        return new Call(name, () -> kernel.ioctl(iommufd, request, calls.bytes(PAGE)));
    }

    private int memfd() {
        int memfd = kernel.memfd("some", 0);
        kernel.ftruncate(memfd, PAGE);
        return memfd;
    }

    private List<Call> ofMemoryAndFiles() {
        int anonymous = system_h.MAP_PRIVATE() | system_h.MAP_ANONYMOUS();
        int memfd = memfd();
        int mapped = memfd();
        kernel.mmap(PAGE, 3, system_h.MAP_SHARED(), mapped, 0);
        long memory = calls.mapMemory(2 * PAGE);
        return List.of(
                new Call("mmap at a fixed address",
                        () -> kernel.mmap(PAGE, 3, anonymous | system_h.MAP_FIXED(), -1, 0)),
                new Call("huge pages that are not set aside",
                        () -> kernel.mmap(1 << 21, 3,
                                anonymous | system_h.MAP_HUGETLB() | system_h.MAP_NORESERVE(), -1, 0)),
                new Call("munmap of a part of a mapping", () -> kernel.munmap(memory, PAGE)),
                new Call("memfd_create with MFD_EXEC or MFD_NOEXEC_SEAL", () -> kernel.memfd("rare", 0x10)),
                new Call("a mapped memfd that changes its size", () -> kernel.ftruncate(mapped, 2 * PAGE)),
                new Call("a private mapping of a memfd",
                        () -> kernel.mmap(PAGE, 3, system_h.MAP_PRIVATE(), memfd, 0)),
                new Call("mmap beyond the end of a memfd",
                        () -> kernel.mmap(2 * PAGE, 3, system_h.MAP_SHARED(), memfd, 0)),
                new Call("pread", () -> kernel.pread(memfd, calls.bytes(8), 0)),
                new Call("pwrite", () -> kernel.pwrite(memfd, calls.bytes(8), 0)),
                new Call("read", () -> kernel.read(memfd, calls.bytes(8))),
                new Call("write", () -> kernel.write(memfd, calls.bytes(8))),
                new Call("opening the disk", () -> calls.open("/dev/nvme0n1")),
                new Call("getrlimit of", () -> kernel.rlimit(999)));
    }

    private List<Call> ofTheSeam() {
        MemorySegment memory = calls.bytes(PAGE);
        return List.of(new Call("madvise", () -> kernel.madvise(memory.address(), PAGE, 0)),
                new Call("statx of an open file", () -> kernel.fstat(kvm, memory)),
                new Call("epoll of something else than eventfds",
                        () -> kernel.epollControl(calls.epoll(), 1, kvm, 1, 0)),
                new Call("epoll with events other than EPOLLIN and EPOLLOUT",
                        () -> kernel.epollControl(calls.epoll(), 1, calls.eventFd(), 0x8000_0001, 0)),
                new Call("a Unix socket", () -> kernel.connect("/run/some.socket")),
                new Call("a Unix socket", () -> kernel.listen("/run/some.socket")),
                new Call("a Unix socket", () -> kernel.accept(kvm)),
                new Call("a Unix socket", () -> kernel.sendmsg(kvm, memory, new int[0])),
                new Call("a Unix socket", () -> kernel.recvmsg(kvm, memory, new int[0])),
                new Call("a signal that is not a real-time one", () -> kernel.interrupt(1, 11)),
                new Call("mmap at a fixed address", () -> kernel.mmap(PAGE, PAGE, 3, system_h.MAP_PRIVATE()
                        | system_h.MAP_ANONYMOUS() | system_h.MAP_FIXED_NOREPLACE(), -1, 0)));
    }
}
