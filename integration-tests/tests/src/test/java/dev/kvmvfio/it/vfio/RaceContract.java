package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.dma.DmaSpace;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.Region;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * One thread uses what another one closes. The one that uses it is told that it is closed, and the one that closes it is
 * told nothing. The system property {@code race.seconds} says for how long, for each race.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class RaceContract {
    private static final Duration LENGTH = Duration.ofMillis((long) (1000
            * Double.parseDouble(System.getProperty("race.seconds", "2"))));
    private static final long SIZE = 16 * 4096;

    private Kernel kernel;

    /** The kernel to run on, in the state that each test begins with. */
    abstract Kernel start();

    /** Fails when anything is open, bound, registered or mapped that was not before {@link #start}. */
    abstract void assertNothingLeft();

    /** The interfaces that the kernel has. */
    abstract Stream<VfioInterface> interfaces();

    /** Devices that can be attached, each in a group of its own. */
    abstract List<PciAddress> devices();

    @BeforeEach
    void startKernel() {
        kernel = start();
    }

    @AfterEach
    void end() {
        assertNothingLeft();
    }

    /** Does something again and again until it is told that what it uses is closed. */
    private static FutureTask<Integer> untilClosed(Runnable use) {
        FutureTask<Integer> uses = new FutureTask<>(() -> {
            for (int count = 0;; count++) {
                try {
                    use.run();
                } catch (ClosedException closed) {
                    return count;
                }
            }
        });
        Thread.ofPlatform().daemon().start(uses);
        return uses;
    }

    private static <T> T result(FutureTask<T> task) throws Exception {
        return task.get(60, TimeUnit.SECONDS);
    }

    private static boolean goesOn(long start) {
        return System.nanoTime() - start < LENGTH.toNanos();
    }

    private static void pause(int round) {
        for (int i = 0; i < round % 500; i++) {
            Thread.onSpinWait();
        }
    }

    /** iommufd gives the number of an address space that was destroyed to the next one. */
    @Test
    void aLateMappingTakesNothingFromTheNextAddressSpace() throws Exception {
        if (interfaces().noneMatch(VfioInterface.CDEV::equals)) {
            return;
        }
        long start = System.nanoTime();
        int round = 0;
        try (Iommufd iommufd = Iommufd.open(kernel);
                HostMemory ram = HostMemory.allocate(kernel, SIZE);
                HostMemory other = HostMemory.allocate(kernel, SIZE)) {
            for (; goesOn(start); round++) {
                Ioas ioas = iommufd.allocateIoas();
                FutureTask<Integer> mapping = untilClosed(() -> ioas.map(0, ram).close());
                pause(round);
                ioas.close();
                Ioas next = iommufd.allocateIoas();
                next.map(0, other);
                result(mapping);
                assertThatThrownBy(() -> next.map(0, other)).isInstanceOfSatisfying(KernelException.class,
                        refused -> assertThat(refused.errno()).isEqualTo(Errno.EEXIST));
                next.close();
            }
        }
        assertThat(round).isPositive();
        System.out.println(round + " address spaces, and nothing was taken from one");
    }

    /** The kernel frees a container's IOMMU while another call uses it. */
    @ParameterizedTest
    @MethodSource("interfaces")
    void anAddressSpaceIsUsedWhileItsDeviceIsDetached(VfioInterface by) throws Exception {
        long start = System.nanoTime();
        try (Kvm kvm = Kvm.open(kernel); HostMemory ram = HostMemory.allocate(kernel, SIZE)) {
            Vm vm = kvm.createVm();
            for (int round = 0; goesOn(start); round++) {
                AttachedDevice attached = AttachedDevice.request(kernel, devices().getFirst()).via(by).attach(vm);
                DmaSpace space = attached.dmaSpace();
                FutureTask<Integer> mapping = untilClosed(() -> space.map(0, ram).close());
                FutureTask<Integer> asking = untilClosed(space::iovaRanges);
                pause(round);
                attached.close();
                result(mapping);
                result(asking);
            }
        }
    }

    /** A group cannot leave its container while a call keeps the device open. */
    @ParameterizedTest
    @MethodSource("interfaces")
    void aDeviceIsUsedWhileItIsDetached(VfioInterface by) throws Exception {
        long start = System.nanoTime();
        try (Kvm kvm = Kvm.open(kernel); EventFd eventFd = EventFd.create(kernel)) {
            Vm vm = kvm.createVm();
            for (int round = 0; goesOn(start); round++) {
                AttachedDevice attached = AttachedDevice.request(kernel, devices().getFirst()).via(by).attach(vm);
                GuestDevice device = attached.device();
                Interrupt msi = device.interrupt(Interrupt.MSI);
                FutureTask<Integer> reading = untilClosed(() -> device.region(Region.CONFIG).readInt(0));
                FutureTask<Integer> enabling = untilClosed(() -> {
                    msi.enable(eventFd);
                    msi.disable();
                });
                pause(round);
                attached.close();
                result(reading);
                result(enabling);
                assertThat(msi.isEnabled()).isFalse();
            }
        }
    }

    /** Each thread has a device, and one has memory that comes and goes; none notices the others. */
    @ParameterizedTest
    @MethodSource("interfaces")
    void devicesAndMemoryComeAndGoOnOneVm(VfioInterface by) throws Exception {
        long start = System.nanoTime();
        try (Kvm kvm = Kvm.open(kernel);
                HostMemory ram = HostMemory.allocate(kernel, SIZE);
                HostMemory more = HostMemory.allocate(kernel, SIZE)) {
            Vm vm = kvm.createVm();
            KvmVfioDevice kvmVfio = KvmVfioDevice.create(vm);
            GuestMemory memory = GuestMemory.create(vm, 0, ram);
            List<FutureTask<Boolean>> threads = new ArrayList<>();
            for (PciAddress device : devices()) {
                threads.add(
                        repeat(start, () -> AttachedDevice.request(kernel, device).via(by).attach(memory, kvmVfio)));
            }
            threads.add(repeat(start, () -> memory.add(1 << 24, more)));
            for (FutureTask<Boolean> thread : threads) {
                assertThat(thread.get(LENGTH.toSeconds() + 120, TimeUnit.SECONDS)).isTrue();
            }
        }
    }

    private static FutureTask<Boolean> repeat(long start, Callable<AutoCloseable> open) {
        FutureTask<Boolean> repeated = new FutureTask<>(() -> {
            while (goesOn(start)) {
                open.call().close();
            }
            return true;
        });
        Thread.ofPlatform().daemon().start(repeated);
        return repeated;
    }
}
