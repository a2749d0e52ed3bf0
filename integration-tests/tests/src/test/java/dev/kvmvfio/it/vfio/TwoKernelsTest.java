package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.dma.DmaAccess;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kvm.IoAddress;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.BoundDevice;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.VfioCdev;
import dev.kvmvfio.vfio.VfioContainer;
import dev.kvmvfio.vfio.VfioGroup;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every call that takes two things of the kernel, with things of one and of two. */
@Tag("mock")
class TwoKernelsTest {
    private static final PciAddress CARD = PciAddress.parse("0000:6a:01.0");
    private static final PciAddress OTHER = PciAddress.parse("0000:6b:00.0");
    private static final long SIZE = 1 << 16;

    /** What a program opens in a kernel. All of it is closed with the first two, or by the test. */
    private static final class World implements AutoCloseable {
        final Kernel kernel;
        final Kvm kvm;
        final Vm vm;
        private final Deque<Handle> opened = new ArrayDeque<>();

        World(Kernel kernel) {
            this.kernel = kernel;
            kvm = open(Kvm.open(kernel));
            vm = kvm.createVm();
            vm.interrupts().createIrqchip();
        }

        private <T extends Handle> T open(T some) {
            opened.push(some);
            return some;
        }

        HostMemory memory() {
            return open(HostMemory.allocate(kernel, SIZE));
        }

        EventFd eventFd() {
            return open(EventFd.create(kernel));
        }

        Iommufd iommufd() {
            return open(Iommufd.open(kernel));
        }

        Ioas ioas() {
            return iommufd().allocateIoas();
        }

        PciDevice device(PciAddress address) {
            return PciDevice.find(kernel, address);
        }

        VfioCdev cdev(PciAddress address) {
            return open(VfioCdev.open(device(address)));
        }

        VfioGroup group(PciAddress address) {
            return open(VfioGroup.open(device(address).iommuGroup().orElseThrow()));
        }

        VfioContainer container() {
            return open(VfioContainer.open(group(CARD)));
        }

        Interrupt interrupt(int index) {
            BoundDevice bound = cdev(CARD).bindWithoutKvm(iommufd());
            return bound.interrupt(index);
        }

        @Override
        public void close() {
            while (!opened.isEmpty()) {
                opened.pop().close();
            }
        }
    }

    /** Opens what a call needs in both worlds, and answers the call. */
    private interface Call {
        Runnable prepare(World here, World there);
    }

    private static Arguments call(String name, Call call) {
        return Arguments.of(name, call);
    }

    static Stream<Arguments> calls() {
        return Stream.of(
                call("addIrqFd", (here, there) -> {
                    EventFd trigger = there.eventFd();
                    return () -> here.vm.interrupts().addIrqFd(trigger, 5);
                }),
                call("addIrqFd with a resample eventfd", (here, there) -> {
                    EventFd trigger = here.eventFd();
                    EventFd resample = there.eventFd();
                    return () -> here.vm.interrupts().addIrqFd(trigger, 5, resample);
                }),
                call("addIoEventFd", (here, there) -> {
                    EventFd eventFd = there.eventFd();
                    return () -> here.vm.addIoEventFd(eventFd, IoAddress.port(0x80), 1);
                }),
                call("addIoEventFd with a value", (here, there) -> {
                    EventFd eventFd = there.eventFd();
                    return () -> here.vm.addIoEventFd(eventFd, IoAddress.port(0x80), 1, 7);
                }),
                call("VmMemory.add", (here, there) -> {
                    HostMemory memory = there.memory();
                    return () -> here.vm.memory().add(0, memory);
                }),
                call("GuestMemory.create", (here, there) -> {
                    HostMemory memory = there.memory();
                    return () -> GuestMemory.create(here.vm, 0, memory);
                }),
                call("GuestMemory.add", (here, there) -> {
                    GuestMemory guest = GuestMemory.create(here.vm);
                    HostMemory memory = there.memory();
                    return () -> guest.add(0, memory);
                }),
                call("GuestMemory.mapInto", (here, there) -> {
                    GuestMemory guest = GuestMemory.create(here.vm);
                    Ioas ioas = there.ioas();
                    return () -> guest.mapInto(ioas);
                }),
                call("Ioas.map", (here, there) -> {
                    Ioas ioas = here.ioas();
                    HostMemory memory = there.memory();
                    return () -> ioas.map(0, memory);
                }),
                call("Ioas.map anywhere", (here, there) -> {
                    Ioas ioas = here.ioas();
                    HostMemory memory = there.memory();
                    return () -> ioas.map(memory, DmaAccess.READ);
                }),
                call("VfioContainer.map", (here, there) -> {
                    VfioContainer container = here.container();
                    HostMemory memory = there.memory();
                    return () -> container.map(0, memory);
                }),
                call("VfioContainer.add", (here, there) -> {
                    VfioContainer container = here.container();
                    VfioGroup group = there.group(OTHER);
                    return () -> container.add(group);
                }),
                call("KvmVfioDevice.add of a cdev", (here, there) -> {
                    KvmVfioDevice kvmVfio = KvmVfioDevice.create(here.vm);
                    VfioCdev cdev = there.cdev(CARD);
                    return () -> kvmVfio.add(cdev);
                }),
                call("KvmVfioDevice.add of a group", (here, there) -> {
                    KvmVfioDevice kvmVfio = KvmVfioDevice.create(here.vm);
                    VfioGroup group = there.group(CARD);
                    return () -> kvmVfio.add(group);
                }),
                call("RegisteredCdev.bind", (here, there) -> {
                    var registered = KvmVfioDevice.create(here.vm).add(here.cdev(CARD));
                    Iommufd iommufd = there.iommufd();
                    return () -> registered.bind(iommufd);
                }),
                call("VfioCdev.bindWithoutKvm", (here, there) -> {
                    VfioCdev cdev = here.cdev(CARD);
                    Iommufd iommufd = there.iommufd();
                    return () -> cdev.bindWithoutKvm(iommufd);
                }),
                call("Interrupt.enable", (here, there) -> {
                    Interrupt msix = here.interrupt(Interrupt.MSIX);
                    EventFd first = here.eventFd();
                    EventFd second = there.eventFd();
                    return () -> msix.enable(first, second);
                }),
                call("Interrupt.setVector", (here, there) -> {
                    Interrupt msix = here.interrupt(Interrupt.MSIX);
                    EventFd eventFd = there.eventFd();
                    return () -> msix.setVector(1, eventFd);
                }),
                call("Interrupt.unmaskOn", (here, there) -> {
                    Interrupt intx = here.interrupt(Interrupt.INTX);
                    intx.enable(here.eventFd());
                    EventFd eventFd = there.eventFd();
                    return () -> intx.unmaskOn(eventFd);
                }),
                call("AttachRequest.attach to a VM", (here, there) -> {
                    var request = AttachedDevice.request(there.kernel, CARD);
                    return () -> request.attach(here.vm);
                }),
                call("AttachRequest.attach to memory", (here, there) -> {
                    var request = AttachedDevice.request(there.kernel, CARD);
                    GuestMemory memory = GuestMemory.create(here.vm);
                    return () -> request.attach(memory);
                }),
                call("AttachRequest.attach to a KVM-VFIO device", (here, there) -> {
                    var request = AttachedDevice.request(there.kernel, CARD);
                    KvmVfioDevice kvmVfio = KvmVfioDevice.create(here.vm);
                    return () -> request.attach(kvmVfio);
                }));
    }

    private static void assertRefused(Call call, World here, World there, MockKernel... mocks) {
        Runnable run = call.prepare(here, there);
        int[] before = Stream.of(mocks).mapToInt(mock -> mock.trace().size()).toArray();
        assertThatThrownBy(run::run).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(" is of another kernel than ");
        assertThat(Stream.of(mocks).mapToInt(mock -> mock.trace().size()).toArray()).isEqualTo(before);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("calls")
    void thingsOfTwoKernelsAreRefused(String name, Call call) {
        try (MockKernel mock = MockKernel.example();
                MockKernel other = MockKernel.example();
                World here = new World(mock);
                World there = new World(other)) {
            assertRefused(call, here, there, mock, other);
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("calls")
    void twoObserversOfOneKernelAreThatKernel(String name, Call call) {
        try (MockKernel mock = MockKernel.example();
                World here = new World(ObservedKernel.observe(mock, _ -> {
                }));
                World there = new World(ObservedKernel.observe(ObservedKernel.observe(mock, _ -> {
                }), _ -> {
                }))) {
            call.prepare(here, there).run();
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("calls")
    void aProgramsOwnKernelIsOneOfItsOwn(String name, Call call) {
        try (MockKernel mock = MockKernel.example();
                World here = new World(mock);
                World there = new World(wrapped(mock))) {
            assertRefused(call, here, there, mock);
        }
    }

    private static Kernel wrapped(Kernel kernel) {
        return (Kernel) Proxy.newProxyInstance(Kernel.class.getClassLoader(), new Class<?>[]{Kernel.class},
                (_, method, arguments) -> {
                    try {
                        return method.invoke(kernel, arguments);
                    } catch (InvocationTargetException thrown) {
                        throw thrown.getCause();
                    }
                });
    }

    /** No mock has such a table, so it can only be refused. */
    @Test
    void aTableOfPowerpcIsOfThisKernel() {
        try (MockKernel mock = MockKernel.example();
                MockKernel other = MockKernel.example();
                World here = new World(mock);
                World there = new World(other)) {
            assertRefused((_, _) -> {
                var registered = KvmVfioDevice.create(here.vm).add(here.group(CARD));
                return () -> registered.setSpaprTce(there.kvm.fd());
            }, here, there, mock, other);
        }
    }

    @Test
    void thingsOfTwoOfAKindInOneKernelAreRefused() {
        try (MockKernel mock = MockKernel.example(); World one = new World(mock); World two = new World(mock)) {
            BoundDevice bound = one.cdev(CARD).bindWithoutKvm(one.iommufd());
            Ioas ioas = two.ioas();
            assertThatThrownBy(() -> bound.attach(ioas)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("another iommufd");
            var request = AttachedDevice.request(mock, OTHER);
            GuestMemory memory = GuestMemory.create(one.vm);
            KvmVfioDevice kvmVfio = KvmVfioDevice.create(two.vm);
            assertThatThrownBy(() -> request.attach(memory, kvmVfio)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("two VMs");
        }
    }
}
