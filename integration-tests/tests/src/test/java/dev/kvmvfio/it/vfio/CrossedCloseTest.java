package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MsiRoute;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.BoundGuestDevice;
import dev.kvmvfio.vfio.Interrupt;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Two threads, each within a call of its own, close what the other one is using. Neither waits for the other. */
@Tag("mock")
class CrossedCloseTest {
    private static final List<PciAddress> DEVICES = Stream.of("0000:6a:01.0", "0000:6b:00.1").map(PciAddress::parse)
            .toList();

    /** Runs what a thread has brought, once, in a call of a name. */
    private static final class Crossing extends ObservedKernel {
        private final Map<Thread, Runnable> within = new ConcurrentHashMap<>();
        private volatile String name = "";

        Crossing(MockKernel mock) {
            super(mock);
        }

        @Override
        protected long call(SystemCall call, LongSupplier made) {
            long result = made.getAsLong();
            Runnable hook = call.name().equals(name) ? within.remove(Thread.currentThread()) : null;
            if (hook != null) {
                hook.run();
            }
            return result;
        }
    }

    /** Something of one VM: a use that is a call, and what the other thread closes. */
    private record Side(Runnable use, Handle closed) {
    }

    private final MockKernel mock = MockKernel.example();
    private final Crossing kernel = new Crossing(mock);
    private final Kvm kvm = Kvm.open(kernel);
    private final List<Vm> vms = List.of(kvm.createVm(), kvm.createVm());
    private final EventFd eventFd = EventFd.create(kernel);

    @AfterEach
    void nothingIsLeft() {
        kvm.close();
        eventFd.close();
        mock.close();
    }

    private void cross(String call, List<Side> sides) throws Exception {
        kernel.name = call;
        CyclicBarrier both = new CyclicBarrier(2);
        List<FutureTask<Boolean>> tasks = Stream.of(0, 1).map(i -> new FutureTask<>(() -> {
            kernel.within.put(Thread.currentThread(), () -> {
                await(both);
                sides.get(1 - i).closed.close();
            });
            sides.get(i).use.run();
            return sides.get(1 - i).closed.isOpen();
        })).toList();
        tasks.forEach(task -> Thread.ofPlatform().daemon().start(task));
        for (FutureTask<Boolean> task : tasks) {
            assertThat(task.get(20, TimeUnit.SECONDS)).isFalse();
        }
        assertThat(kernel.within).isEmpty();
    }

    private static void await(CyclicBarrier both) {
        try {
            both.await(20, TimeUnit.SECONDS);
        } catch (Exception never) {
            throw new IllegalStateException(never);
        }
    }

    private static Side route(Vm vm, boolean closesVm) {
        vm.interrupts().createIrqchip();
        MsiRoute changed = vm.interrupts().routes().addMsi(0xfee0_0000L, 0x41);
        Handle closed = closesVm ? vm : vm.interrupts().routes().addMsi(0xfee0_0000L, 0x42);
        return new Side(() -> changed.setMessage(0xfee0_0000L, 0x43), closed);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whileRoutesAreSet(boolean closesVm) throws Exception {
        cross("KVM_SET_GSI_ROUTING", vms.stream().map(vm -> route(vm, closesVm)).toList());
    }

    private AttachedDevice attach(int i) {
        return AttachedDevice.request(kernel, DEVICES.get(i)).via(VfioInterface.CDEV).attach(vms.get(i));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whileInterruptsAreEnabled(boolean closesVm) throws Exception {
        cross("VFIO_DEVICE_SET_IRQS", Stream.of(0, 1).map(i -> {
            AttachedDevice attached = attach(i);
            Interrupt msi = attached.device().interrupt(Interrupt.MSI);
            msi.enable(eventFd);
            return new Side(() -> msi.setVector(0, eventFd), closesVm ? vms.get(i) : attached);
        }).toList());
    }

    @Test
    void whileDevicesAreAttachedAnew() throws Exception {
        cross("VFIO_DEVICE_ATTACH_IOMMUFD_PT", Stream.of(0, 1).map(i -> {
            BoundGuestDevice device = (BoundGuestDevice) attach(i).device();
            return new Side(() -> device.attach(device.iommufd().allocateIoas()), device);
        }).toList());
    }

    /** A listener may wait for somebody who waits for what it closes. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aListenerWaitsForNobody(boolean undo) throws Exception {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch closed = new CountDownLatch(1);
        FutureTask<Void> creating = creating(inside, closed);
        FutureTask<Void> attaching = new FutureTask<>(() -> AttachedDevice.request(kernel, DEVICES.getFirst())
                .watch(step -> {
                    if (step.isUndo() == undo) {
                        vms.get(1).close();
                        closed.countDown();
                    }
                }).attach(vms.getFirst()).close(), null);
        Thread.ofPlatform().daemon().start(attaching);
        attaching.get(20, TimeUnit.SECONDS);
        assertThat(creating).failsWithin(20, TimeUnit.SECONDS);
        assertThat(kvm.openHandles()).containsExactly(vms.getFirst());
    }

    /** A kernel of the program's own that is no observer. */
    @ParameterizedTest
    @ValueSource(strings = {"open", "eventfd", "mmap", "memfd", "ftruncate", "ioctl", "munmap", "close"})
    void aCloseInAKernelOfTheProgramWaitsForNobody(String call) throws Exception {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch closed = new CountDownLatch(1);
        FutureTask<Void> creating = creating(inside, closed);
        Kernel own = (Kernel) Proxy.newProxyInstance(Kernel.class.getClassLoader(), new Class<?>[]{Kernel.class},
                (_, method, arguments) -> {
                    if (method.getName().equals(call)) {
                        vms.get(1).close();
                        closed.countDown();
                    }
                    return method.invoke(mock, arguments);
                });
        FutureTask<Void> using = new FutureTask<>(() -> {
            EventFd.create(own).close();
            HostMemory.allocate(own, 1 << 16).close();
            HostMemory.request(own, 1 << 16).memfd("guest").allocate().close();
            Kvm.open(own).close();
        }, null);
        Thread.ofPlatform().daemon().start(using);
        using.get(20, TimeUnit.SECONDS);
        assertThat(closed.getCount()).isZero();
        assertThat(creating).failsWithin(20, TimeUnit.SECONDS);
    }

    /** Another thread, which waits in a call on the second VM until that is closed. */
    private FutureTask<Void> creating(CountDownLatch inside, CountDownLatch closed) {
        kernel.name = "KVM_CREATE_VCPU";
        FutureTask<Void> creating = new FutureTask<>(() -> {
            kernel.within.put(Thread.currentThread(), () -> {
                inside.countDown();
                await(closed);
            });
            vms.get(1).createVcpu(0);
        }, null);
        Thread.ofPlatform().daemon().start(creating);
        await(inside);
        return creating;
    }

    private static void await(CountDownLatch latch) {
        try {
            assertThat(latch.await(20, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException never) {
            throw new IllegalStateException(never);
        }
    }
}
