package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.SystemCall;
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
            assertThat(bind.errno()).isNull();
            assertThat(trace.get(7).errno()).isEqualTo(Errno.EINVAL);
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
                .hasMessageContaining("IOVA 0x4000");
    }

    @Test
    void whatIsNotModelledSaysSo() {
        try (MockKernel kernel = MockKernel.example()) {
            Calls calls = new Calls(kernel);
            int kvm = calls.open("/dev/kvm");
            int vm = calls.createVm(kvm);
            int vcpu = kernel.ioctl(vm, kvm_h.KVM_CREATE_VCPU(), 0);
            assertThatThrownBy(() -> kernel.ioctl(vcpu, kvm_h.KVM_RUN(), 0)).isInstanceOf(NotModelledException.class)
                    .hasMessage("KVM_RUN is not modelled by the mock kernel");
            calls.close(vcpu, vm, kvm);
        }
    }

    @Test
    void manyThreads() throws InterruptedException {
        try (MockKernel kernel = MockKernel.example()) {
            AtomicReference<Throwable> failure = new AtomicReference<>();
            List<Thread> threads = List.of(worker(kernel, failure), worker(kernel, failure), worker(kernel, failure),
                    worker(kernel, failure));
            for (Thread thread : threads) {
                thread.join();
            }
            assertThat(failure).hasNullValue();
        }
    }

    private static Thread worker(MockKernel kernel, AtomicReference<Throwable> failure) {
        return Thread.ofPlatform().start(() -> {
            try {
                Calls calls = new Calls(kernel);
                for (int i = 0; i < 500; i++) {
                    int kvm = calls.open("/dev/kvm");
                    int vm = calls.createVm(kvm);
                    int eventFd = calls.eventFd();
                    assertThat(calls.signal(eventFd)).isEqualTo(8);
                    assertThat(calls.take(eventFd)).isEqualTo(1);
                    int device = calls.createVfioDevice(vm);
                    assertThat(device).isNotNegative();
                    calls.close(eventFd, device, vm, kvm);
                }
            } catch (Throwable thrown) {
                failure.set(thrown);
            }
        });
    }
}
