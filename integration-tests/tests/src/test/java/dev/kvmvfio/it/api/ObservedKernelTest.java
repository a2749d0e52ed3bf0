package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.it.kvm.Assembler;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.KvmDeviceType;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vmm.LongMode;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What an observer, the mock's trace and a flight recording tell of the same calls. */
class ObservedKernelTest {
    private static final PciAddress DEVICE = PciAddress.parse("0000:6a:01.0");

    private final List<SystemCall> calls = new ArrayList<>();

    @TempDir
    private Path folder;

    private static void attach(Kernel kernel, VfioInterface by) {
        try (Kvm kvm = Kvm.open(kernel);
                Vm vm = kvm.createVm();
                HostMemory ram = HostMemory.allocate(kernel, 1 << 20);
                GuestMemory memory = GuestMemory.create(vm, 0, ram);
                AttachedDevice attached = AttachedDevice.request(kernel, DEVICE).via(by).attach(memory)) {
            vm.createVcpu(0);
            attached.device().region(Region.CONFIG).readInt(0);
            attached.device().interrupts();
        }
    }

    private List<String> lines() {
        return calls.stream().map(SystemCall::toString).toList();
    }

    @Tag("mock")
    @ParameterizedTest
    @EnumSource(VfioInterface.class)
    void theObserverAndTheTraceTellTheSame(VfioInterface by) {
        try (MockKernel mock = MockKernel.example()) {
            attach(ObservedKernel.observe(mock, calls::add), by);
            assertThat(lines()).hasSizeGreaterThan(30).isEqualTo(mock.trace().stream().map(Object::toString).toList());
            assertThat(calls).as("no request is a mere number").extracting(SystemCall::name)
                    .allMatch(name -> name.matches("[a-z]+|(KVM|VFIO|IOMMU)_[A-Z0-9_]+"));
        }
    }

    @Tag("mock")
    @Test
    void aLineSaysFilesFieldsAndChanges() {
        try (MockKernel mock = MockKernel.example()) {
            attach(ObservedKernel.observe(mock, calls::add), VfioInterface.CDEV);
            assertThat(lines()).contains("ioctl(3</dev/kvm>, KVM_CREATE_VM, 0) = 4",
                    "ioctl(5<KVM device VFIO>, KVM_DEV_VFIO_FILE_ADD, [6</dev/vfio/devices/vfio0>]) = 0",
                    "ioctl(6</dev/vfio/devices/vfio0>, VFIO_DEVICE_BIND_IOMMUFD, "
                            + "{argsz=0x10, flags=0, iommufd=7</dev/iommu>, out_devid=0 => 1}) = 0",
                    "close(6</dev/vfio/devices/vfio0>) = 0");
        }
    }

    @Tag("mock")
    @Test
    void vfiosNumbersMeanWhatTheFileMakesOfThem() {
        try (MockKernel mock = MockKernel.example()) {
            attach(ObservedKernel.observe(mock, calls::add), VfioInterface.GROUP);
            assertThat(lines()).anyMatch(line -> line.matches(
                    "ioctl\\(\\d+</dev/vfio/vfio>, VFIO_IOMMU_MAP_DMA, \\{argsz=0x20, flags=3, .*size=0x100000\\}\\) = 0"))
                    .anyMatch(line -> line.matches(
                            "ioctl\\(\\d+</dev/vfio/26>, VFIO_GROUP_SET_CONTAINER, \\[\\d+</dev/vfio/vfio>\\]\\) = 0"))
                    .anyMatch(line -> line
                            .matches(
                                    "ioctl\\(\\d+</dev/vfio/26>, VFIO_GROUP_GET_DEVICE_FD, \"0000:6a:01.0\"\\) = \\d+"))
                    .anyMatch(line -> line.matches("ioctl\\(\\d+<0000:6a:01.0>, VFIO_DEVICE_GET_INFO, .*"));
        }
    }

    @Tag("mock")
    @Test
    void anObserverThatThrowsChangesNothing() {
        AtomicReference<Throwable> told = new AtomicReference<>();
        Thread current = Thread.currentThread();
        current.setUncaughtExceptionHandler((thread, failure) -> told.set(failure));
        IllegalStateException failure = new IllegalStateException("an observer's own");
        try (MockKernel mock = MockKernel.example()) {
            Kernel observed = ObservedKernel.observe(mock, call -> {
                throw failure;
            });
            attach(observed, VfioInterface.CDEV);
        } finally {
            current.setUncaughtExceptionHandler(null);
        }
        assertThat(told).hasValue(failure);
    }

    @Tag("kvm")
    @Test
    void theRunningKernelsCalls() {
        try (Kvm kvm = Kvm.open(ObservedKernel.observe(Kernel.linux(), calls::add)); Vm vm = kvm.createVm()) {
            int vmFd = vm.fd().number();
            int deviceFd = KvmVfioDevice.create(vm).kvmDevice().fd().number();
            vm.supports(KvmDeviceType.VFIO);
            assertThat(vm.createVcpu(0).hasAttr(7, 7)).isFalse();
            assertThat(lines()).contains("ioctl(" + kvm.fd().number() + "</dev/kvm>, KVM_CREATE_VM, 0) = " + vmFd,
                    "ioctl(" + vmFd + "<VM>, KVM_CREATE_DEVICE, {type=4, fd=-1 => " + deviceFd + ", flags=0}) = 0",
                    "ioctl(" + vmFd + "<VM>, KVM_CREATE_DEVICE, {type=4, fd=-1, flags=1}) = 0");
            assertThat(calls.getLast().file()).endsWith("<vCPU 0>");
            assertThat(calls.getLast()).asString().contains("KVM_HAS_DEVICE_ATTR, {flags=0, group=7, attr=7, addr=0}")
                    .endsWith("= -1 ENXIO (No such device or address)");
            assertThat(calls.getLast().errno()).hasValue(Errno.ENXIO);
        }
        assertThat(lines().getLast()).matches("close\\(\\d+</dev/kvm>\\) = 0");
    }

    private List<RecordedEvent> recorded(Runnable program) throws IOException {
        return recorded("kvmvfio.Ioctl", program);
    }

    private List<RecordedEvent> recorded(String name, Runnable program) throws IOException {
        Path file = folder.resolve("recording.jfr");
        try (Recording recording = new Recording()) {
            recording.enable(name).withoutThreshold();
            recording.start();
            program.run();
            recording.stop();
            recording.dump(file);
        }
        return RecordingFile.readAllEvents(file).stream()
                .filter(event -> event.getEventType().getName().equals(name)).toList();
    }

    private static List<String> names(List<RecordedEvent> events) {
        return events.stream().map(event -> event.getString("name")).toList();
    }

    @Tag("mock")
    @Test
    void aFlightRecordingHasTheIoctls() throws IOException {
        try (MockKernel mock = MockKernel.example()) {
            List<RecordedEvent> events = recorded(() -> attach(mock, VfioInterface.CDEV));
            assertThat(names(events)).isEqualTo(mock.trace().stream().filter(call -> call.operation().equals("ioctl"))
                    .map(SystemCall::name).toList());
        }
    }

    @Tag("kvm")
    @Test
    void aFlightRecordingHasTheRunningKernelsIoctls() throws IOException {
        List<RecordedEvent> events = recorded(() -> {
            try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm()) {
                vm.createVcpu(0).hasAttr(7, 7);
            }
        });
        assertThat(names(events)).startsWith("KVM_GET_API_VERSION", "KVM_CREATE_VM").contains("KVM_CREATE_VCPU")
                .endsWith("KVM_HAS_DEVICE_ATTR");
        RecordedEvent version = events.getFirst();
        assertThat(version.getString("file")).matches("/dev/kvm \\(fd \\d+\\)");
        assertThat(version.getInt("result")).isEqualTo(12);
        assertThat(version.getString("errno")).isEmpty();
        assertThat(version.getDuration()).isPositive();
        assertThat(events.getLast().getString("errno")).isEqualTo("ENXIO");
        assertThat(events.getLast().getInt("result")).isEqualTo(-1);
    }

    @Tag("kvm")
    @Test
    void aFlightRecordingHasTheExitsOfAVcpu() throws IOException {
        List<RecordedEvent> events = recorded("kvmvfio.VcpuExit", () -> {
            try (HostMemory ram = HostMemory.allocate(Kernel.linux(), 1 << 20);
                    Kvm kvm = Kvm.open();
                    Vm vm = kvm.createVm()) {
                vm.memory().add(0, ram);
                Assembler program = new Assembler(0x10000).out(0x3f8, 1, 0x41).hlt();
                byte[] code = program.assemble();
                MemorySegment.copy(code, 0, ram.segment(), ValueLayout.JAVA_BYTE, program.origin(), code.length);
                Vcpu vcpu = vm.createVcpu(3);
                vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
                LongMode.enter(vcpu, ram.segment(), program.origin(), 0x20000);
                vcpu.run();
                vcpu.run();
            }
        });
        assertThat(events).extracting(event -> event.getString("reason")).containsExactly("PortWrite", "Halt");
        assertThat(events).allMatch(event -> event.getInt("vcpu") == 3 && event.getDuration().isPositive());
    }

    @Tag("mock")
    @Test
    void noEventUnlessItIsSwitchedOn() throws IOException {
        Path file = folder.resolve("off.jfr");
        try (Recording recording = new Recording(); MockKernel mock = MockKernel.example()) {
            recording.start();
            attach(mock, VfioInterface.CDEV);
            recording.stop();
            recording.dump(file);
        }
        assertThat(RecordingFile.readAllEvents(file)).noneMatch(event -> Set.of("kvmvfio.Ioctl", "kvmvfio.VcpuExit")
                .contains(event.getEventType().getName()));
    }

    /** A program in a Java run-time that has the module java.base only. */
    static final class SmallRuntime {
        private SmallRuntime() {
        }

        /** Attaches and detaches. */
        public static void main(String[] arguments) {
            try (MockKernel mock = MockKernel.example(); Kvm kvm = Kvm.open(mock); Vm vm = kvm.createVm()) {
                AttachedDevice.request(mock, DEVICE).attach(vm).close();
            }
            System.out.println(ModuleLayer.boot().findModule("jdk.jfr").isPresent() ? "with" : "without");
        }
    }

    @Tag("mock")
    @Test
    void aRuntimeWithoutTheFlightRecorder() throws Exception {
        Process process = new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(),
                "--limit-modules", "java.base", "--enable-native-access=ALL-UNNAMED", "-cp",
                System.getProperty("java.class.path") + File.pathSeparator + System.getProperty("jdk.module.path", ""),
                SmallRuntime.class.getName()).redirectErrorStream(true).start();
        assertThat(new String(process.getInputStream().readAllBytes())).isEqualTo("without\n");
        assertThat(process.waitFor()).isZero();
    }
}
