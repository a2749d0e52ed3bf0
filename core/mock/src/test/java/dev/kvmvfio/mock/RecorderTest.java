package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** What a test can ask of the mock that no kernel offers: failing calls, the calls that were made, what is left. */
class RecorderTest {
    @Test
    void theTraceIsDecoded() {
        try (MockKernel kernel = MockKernel.example()) {
            Calls calls = new Calls(kernel);
            int kvm = calls.open("/dev/kvm");
            int vm = calls.createVm(kvm);
            int device = calls.createVfioDevice(vm);
            int cdev = calls.open("/dev/vfio/devices/vfio0");
            int iommufd = calls.open("/dev/iommu");
            calls.fileAdd(device, cdev);
            calls.bind(cdev, iommufd);
            calls.bind(cdev, iommufd);
            calls.fileDel(device, cdev);
            calls.close(cdev, iommufd, device, vm, kvm);
            calls.close(kvm);
            List<SystemCall> trace = kernel.trace();
            assertThat(trace).extracting(SystemCall::name).containsExactly("open", "KVM_CREATE_VM",
                    "KVM_CREATE_DEVICE", "open", "open", "KVM_DEV_VFIO_FILE_ADD", "VFIO_DEVICE_BIND_IOMMUFD",
                    "VFIO_DEVICE_BIND_IOMMUFD", "KVM_DEV_VFIO_FILE_DEL", "close", "close", "close", "close", "close",
                    "close");
            SystemCall bind = trace.get(6);
            assertThat(bind.operation()).isEqualTo("ioctl");
            assertThat(bind.file()).isEqualTo(cdev + "</dev/vfio/devices/vfio0>");
            assertThat(bind.arguments()).contains("iommufd=" + iommufd + "</dev/iommu>", "out_devid=0 => 1");
            assertThat(bind.result()).isZero();
            assertThat(bind.errno()).isEmpty();
            assertThat(trace.get(7).errno()).hasValue(Errno.EINVAL);
            assertThat(trace.get(7)).asString()
                    .startsWith("ioctl(" + cdev + "</dev/vfio/devices/vfio0>, VFIO_DEVICE_BIND_IOMMUFD, {")
                    .endsWith("}) = -1 EINVAL (Invalid argument)");
            assertThat(trace.getLast()).hasToString("close(" + kvm + ") = -1 EBADF (Bad file descriptor)");
            kernel.clearTrace();
            assertThat(kernel.trace()).isEmpty();
        }
    }

    @Test
    void aBadAddressInTheTrace() {
        try (MockKernel kernel = MockKernel.example()) {
            Calls calls = new Calls(kernel);
            int kvm = calls.open("/dev/kvm");
            int vm = calls.createVm(kvm);
            kernel.ioctl(vm, kvm_h.KVM_CREATE_DEVICE(), 8);
            assertThat(kernel.trace().getLast()).asString()
                    .endsWith("KVM_CREATE_DEVICE, 0x8) = -1 EFAULT (Bad address)");
            calls.close(vm, kvm);
        }
    }

    @Test
    void callsThatFailOnDemand() {
        try (MockKernel kernel = MockKernel.example()) {
            Calls calls = new Calls(kernel);
            kernel.failCall(2, Errno.ENOMEM);
            int kvm = calls.open("/dev/kvm");
            assertThat(kernel.hasPendingFaults()).isTrue();
            assertThat(errno(calls.createVm(kvm))).isEqualTo(Errno.ENOMEM);
            assertThat(kernel.hasPendingFaults()).isFalse();
            int vm = calls.createVm(kvm);
            kernel.failCall("KVM_CREATE_VM", 2, Errno.EMFILE);
            kernel.failCall("KVM_DEV_VFIO_FILE_ADD", 1, Errno.ENOMEM);
            int other = calls.createVm(kvm);
            assertThat(errno(calls.createVm(kvm))).isEqualTo(Errno.EMFILE);
            int device = calls.createVfioDevice(vm);
            int cdev = calls.open("/dev/vfio/devices/vfio0");
            assertThat(errno(calls.fileDel(device, cdev))).as("another call").isEqualTo(Errno.ENOENT);
            assertThat(errno(calls.fileAdd(device, cdev))).isEqualTo(Errno.ENOMEM);
            assertThat(calls.fileAdd(device, cdev)).as("nothing had happened").isZero();
            calls.fileDel(device, cdev);
            calls.close(device, cdev, other, vm, kvm);
        }
    }

    @Test
    void aCloseThatFailsClosesAllTheSame() {
        try (MockKernel kernel = MockKernel.example()) {
            int kvm = new Calls(kernel).open("/dev/kvm");
            kernel.failCall("close", 1, Errno.EIO);
            assertThat(errno(kernel.close(kvm))).isEqualTo(Errno.EIO);
            assertThat(errno(kernel.close(kvm))).isEqualTo(Errno.EBADF);
        }
    }

    @Test
    void faultsThatCannotBe() {
        try (MockKernel kernel = MockKernel.example()) {
            assertThatThrownBy(() -> kernel.failCall("KVM_CREATE_MV", 1, Errno.EIO))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("KVM_CREATE_VM");
            assertThatThrownBy(() -> kernel.failCall(0, Errno.EIO)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> kernel.failCall(1, Errno.UNKNOWN)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> kernel.delayCall(1, Duration.ZERO)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("late by");
            assertThatThrownBy(() -> kernel.delayCall("KVM_CREATE_MV", 1, Duration.ofMillis(1)))
                    .hasMessageContaining("no call is named");
        }
    }

    @Test
    void aCallThatIsLateLetsOthersGoAhead() throws InterruptedException {
        try (MockKernel kernel = MockKernel.example()) {
            Calls calls = new Calls(kernel);
            int kvm = calls.open("/dev/kvm");
            Duration time = Duration.ofMillis(200);
            kernel.delayCall("KVM_CREATE_VM", 1, time);
            kernel.failCall("KVM_CREATE_VM", 1, Errno.ENOMEM);
            assertThat(kernel.hasPendingFaults()).isTrue();
            AtomicReference<Errno> late = new AtomicReference<>();
            long start = System.nanoTime();
            Thread thread = Thread.ofPlatform().start(() -> late.set(errno(calls.createVm(kvm))));
            while (kernel.hasPendingFaults()) {
                Thread.onSpinWait();
            }
            int vm = calls.createVm(kvm);
            thread.join();
            assertThat(System.nanoTime() - start).isGreaterThanOrEqualTo(time.toNanos());
            assertThat(late).as("late and refused").hasValue(Errno.ENOMEM);
            List<SystemCall> trace = kernel.trace();
            assertThat(trace.get(1).result()).as("of the other thread").isEqualTo(vm);
            assertThat(trace.get(2).errno()).hasValue(Errno.ENOMEM);
            kernel.delayCall(1, Duration.ofMillis(1));
            calls.close(vm, kvm);
        }
    }

    @Test
    void whatIsLeftBehind() {
        MockKernel kernel = MockKernel.example();
        Calls calls = new Calls(kernel);
        int kvm = calls.open("/dev/kvm");
        int device = calls.createVfioDevice(calls.createVm(kvm));
        int[] files = calls.attachCdev("vfio0");
        calls.fileAdd(device, files[0]);
        long memory = calls.mapMemory(8192);
        calls.mapFixed(files[1], files[2], 0x4000, memory, 8192);
        kernel.close(files[0]);
        assertThat(kernel.leaks()).anyMatch(leak -> leak.equals("fd " + kvm + " is open: /dev/kvm"))
                .anyMatch(leak -> leak.startsWith("mapped: 0x2000 bytes of anonymous memory"))
                .contains("KVM holds /dev/vfio/devices/vfio0: added and not removed",
                        "0000:6a:01.0 is bound to iommufd", "IOVA 0x4000..0x5fff is mapped in IOAS 2",
                        "2 pages are pinned");
        assertThatThrownBy(kernel::close).isInstanceOf(AssertionError.class).hasMessageContaining("left behind")
                .hasMessageContaining("IOVA 0x4000")
                .message()
                .containsPattern("fd " + kvm + " is open: /dev/kvm\n      at \\S*Calls\\.open\\(Calls.java:\\d+\\)\n");
    }

    @Test
    void whatIsNotModelledSaysSo() {
        try (MockKernel kernel = MockKernel.example()) {
            Calls calls = new Calls(kernel);
            int kvm = calls.open("/dev/kvm");
            int vm = calls.createVm(kvm);
            int vcpu = kernel.ioctl(vm, kvm_h.KVM_CREATE_VCPU(), 0);
            assertThatThrownBy(() -> kernel.ioctl(vcpu, kvm_h.KVM_RUN(), 0)).isInstanceOf(NotModelledException.class)
                    .hasMessageStartingWith("KVM_RUN of KVM vCPU 0, which has no program")
                    .hasMessageEndingWith("is not modelled by the mock kernel");
            calls.close(vcpu, vm, kvm);
        }
    }

    /** Devices are taken, used and given back by one thread each, and a VM is shared by all. */
    @Test
    void manyThreads() throws InterruptedException {
        try (MockKernel kernel = MockKernel.host(KernelProfile.V6_12)
                .device("0000:01:00.0", d -> d.group(1).cdev("vfio0").bar(0, 4096).msi(1))
                .device("0000:02:00.0", d -> d.group(2).cdev("vfio1").bar(0, 4096).msi(1))
                .device("0000:03:00.0", d -> d.group(3).bar(0, 4096).msi(1))
                .device("0000:04:00.0", d -> d.group(4).bar(0, 4096).msi(1))
                .device("0000:05:00.0", d -> d.group(5)).start()) {
            Calls calls = new Calls(kernel);
            int kvm = calls.open("/dev/kvm");
            int vm = calls.createVm(kvm);
            int kvmVfio = calls.createVfioDevice(vm);
            AtomicReference<Throwable> failure = new AtomicReference<>();
            List<Thread> threads = List.of(repeatedly(failure, () -> byCdev(kernel, "vfio0", kvmVfio)),
                    repeatedly(failure, () -> byCdev(kernel, "vfio1", kvmVfio)),
                    repeatedly(failure, () -> byGroup(kernel, 3, "0000:03:00.0", kvmVfio)),
                    repeatedly(failure, () -> byGroup(kernel, 4, "0000:04:00.0", kvmVfio)),
                    repeatedly(failure, () -> contended(kernel, kvm, vm)),
                    repeatedly(failure, () -> contended(kernel, kvm, vm)));
            for (Thread thread : threads) {
                thread.join();
            }
            assertThat(failure).hasNullValue();
            calls.close(kvmVfio, vm, kvm);
        }
    }

    private static Thread repeatedly(AtomicReference<Throwable> failure, Runnable work) {
        return Thread.ofPlatform().start(() -> {
            try {
                for (int i = 0; i < 300; i++) {
                    work.run();
                }
            } catch (Throwable thrown) {
                failure.set(thrown);
            }
        });
    }

    private static void byCdev(MockKernel kernel, String name, int kvmVfio) {
        Calls calls = new Calls(kernel);
        int[] files = calls.attachCdev(name);
        assertThat(calls.fileAdd(kvmVfio, files[0])).isZero();
        long memory = calls.mapMemory(8192);
        assertThat(calls.mapFixed(files[1], files[2], 0x4000, memory, 8192)).isEqualTo(0x4000);
        interrupt(kernel, calls, files[0]);
        assertThat(calls.unmap(files[1], files[2], 0x4000, 8192)).isEqualTo(8192);
        assertThat(kernel.munmap(memory, 8192)).isZero();
        assertThat(calls.fileDel(kvmVfio, files[0])).isZero();
        calls.close(files[0], files[1]);
    }

    private static void byGroup(MockKernel kernel, int group, String address, int kvmVfio) {
        Calls calls = new Calls(kernel);
        int[] files = calls.openGroup(group, vfio_h.VFIO_TYPE1v2_IOMMU());
        assertThat(calls.fileAdd(kvmVfio, files[0])).isZero();
        int device = calls.deviceFd(files[0], address);
        long memory = calls.mapMemory(8192);
        assertThat(calls.mapDma(files[1], 0x4000, memory, 8192)).isZero();
        interrupt(kernel, calls, device);
        assertThat(calls.unmapDma(files[1], 0x4000, 8192, 0)).isEqualTo(8192);
        assertThat(kernel.munmap(memory, 8192)).isZero();
        assertThat(calls.fileDel(kvmVfio, files[0])).isZero();
        calls.close(device, files[0], files[1]);
    }

    private static void interrupt(MockKernel kernel, Calls calls, int device) {
        int eventFd = calls.eventFd();
        int msi = vfio_h.VFIO_PCI_MSI_IRQ_INDEX();
        int trigger = vfio_h.VFIO_IRQ_SET_ACTION_TRIGGER();
        assertThat(calls.setIrqs(device, msi, 0, vfio_h.VFIO_IRQ_SET_DATA_EVENTFD() | trigger, 1, eventFd)).isZero();
        assertThat(calls.setIrqs(device, msi, 0, vfio_h.VFIO_IRQ_SET_DATA_NONE() | trigger, 1)).isZero();
        assertThat(calls.take(eventFd)).isEqualTo(1);
        kernel.close(eventFd);
    }

    /** What only one thread at a time can have, and others are refused. */
    private static void contended(MockKernel kernel, int kvm, int sharedVm) {
        Calls calls = new Calls(kernel);
        int vm = calls.createVm(kvm);
        int device = calls.createVfioDevice(vm);
        assertThat(device).isNotNegative();
        assertThat(errno(calls.createVfioDevice(sharedVm))).isEqualTo(Errno.EBUSY);
        int eventFd = calls.eventFd();
        assertThat(calls.signal(eventFd)).isEqualTo(8);
        assertThat(calls.take(eventFd)).isEqualTo(1);
        int group = calls.open("/dev/vfio/5");
        if (group >= 0) {
            kernel.close(group);
        } else {
            assertThat(errno(group)).isEqualTo(Errno.EBUSY);
        }
        calls.close(eventFd, device, vm);
    }
}
