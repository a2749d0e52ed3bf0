package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.dma.DmaMapping;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.kvm.IoAddress;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MsiRoute;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.VfioCdev;
import dev.kvmvfio.vfio.VfioContainer;
import dev.kvmvfio.vfio.VfioGroup;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * An observer throws before Linux was asked, or after it has answered: what Linux did is known, so nothing is undone that
 * was not done, and nothing is given back twice, when it may be somebody else's by then.
 */
@Tag("mock")
class ObserverErrorTest {
    private static final PciAddress ADDRESS = PciAddress.parse("0000:6a:01.0");

    private static final class Injected extends Error {
        private static final long serialVersionUID = 1;
    }

    private static final class Throwing extends ObservedKernel {
        private String before = "";
        private String after = "";

        Throwing(Kernel kernel) {
            super(kernel);
        }

        @Override
        protected long call(SystemCall call, LongSupplier made) {
            throwIf(before.equals(call.name()));
            long result = made.getAsLong();
            throwIf(after.equals(call.name()));
            return result;
        }

        private static void throwIf(boolean asked) {
            if (asked) {
                throw new Injected();
            }
        }
    }

    /** What can be made twice at the same place, one after the other. */
    enum Made {
        MAPPING("IOMMU_IOAS_MAP", "IOMMU_IOAS_UNMAP"), IOAS("IOMMU_IOAS_ALLOC", "IOMMU_DESTROY"), IRQFD("KVM_IRQFD",
                "KVM_IRQFD"), IOEVENTFD("KVM_IOEVENTFD", "KVM_IOEVENTFD"), REGISTRATION("KVM_DEV_VFIO_FILE_ADD",
                        "KVM_DEV_VFIO_FILE_DEL"), SLOT("KVM_SET_USER_MEMORY_REGION",
                                "KVM_SET_USER_MEMORY_REGION"), ROUTE("KVM_SET_GSI_ROUTING", "KVM_SET_GSI_ROUTING");

        private final String make;
        private final String release;

        Made(String make, String release) {
            this.make = make;
            this.release = release;
        }
    }

    private final MockKernel mock = MockKernel.example();
    private final Throwing kernel = new Throwing(mock);
    private final Kvm kvm = Kvm.open(kernel);
    private final Vm vm = kvm.createVm();
    private final EventFd eventFd = EventFd.create(kernel);
    private final HostMemory memory = HostMemory.allocate(kernel, 1 << 16);
    private final Iommufd iommufd = Iommufd.open(kernel);
    private final Ioas ioas = iommufd.allocateIoas();
    private final VfioCdev cdev = VfioCdev.open(PciDevice.find(kernel, ADDRESS));
    private final KvmVfioDevice kvmVfio = KvmVfioDevice.create(vm);

    ObserverErrorTest() {
        vm.interrupts().createIrqchip();
    }

    @AfterEach
    void nothingIsLeft() {
        kernel.before = "";
        kernel.after = "";
        Stream.of(kvm, iommufd, cdev, memory, eventFd).forEach(Handle::close);
        mock.close();
    }

    private Supplier<Handle> maker(Made made) {
        return switch (made) {
            case MAPPING -> () -> ioas.map(0, memory);
            case IOAS -> iommufd::allocateIoas;
            case IRQFD -> () -> vm.interrupts().addIrqFd(eventFd, 5);
            case IOEVENTFD -> () -> vm.addIoEventFd(eventFd, IoAddress.mmio(0x1000), 4);
            case REGISTRATION -> () -> kvmVfio.add(cdev);
            case SLOT -> () -> vm.memory().add(0, memory);
            case ROUTE -> () -> vm.interrupts().routes().addMsi(0xfee0_0000L, 0x41);
        };
    }

    private long calls(String name) {
        return mock.trace().stream().filter(call -> call.name().equals(name)).count();
    }

    @ParameterizedTest
    @EnumSource
    void whatWasGivenBackIsNotGivenBackAgain(Made made) {
        Supplier<Handle> maker = maker(made);
        Handle first = maker.get();
        kernel.after = made.release;
        assertThatThrownBy(first::close).isInstanceOf(Injected.class);
        kernel.after = "";
        Handle second = maker.get();
        long before = calls(made.release);
        first.close();
        assertThat(calls(made.release)).isEqualTo(before);
        assertThat(second.isOpen()).isTrue();
        second.close();
        assertThat(mock.trace().getLast().result()).isNotNegative();
    }

    @ParameterizedTest
    @EnumSource
    void whatWasNotGivenBackIsTriedAgain(Made made) {
        Handle first = maker(made).get();
        kernel.before = made.release;
        assertThatThrownBy(first::close).isInstanceOf(Injected.class);
        kernel.before = "";
        long before = calls(made.release);
        first.close();
        assertThat(calls(made.release)).isEqualTo(before + 1);
        assertThat(mock.trace().getLast().result()).isNotNegative();
    }

    /** Else it would be taken from whoever has it. */
    @ParameterizedTest
    @EnumSource
    void whatWasNotMadeIsNotUndone(Made made) {
        Supplier<Handle> maker = maker(made);
        Handle first = maker.get();
        List<SystemCall> before = mock.trace();
        kernel.before = made.make;
        assertThatThrownBy(maker::get).isInstanceOf(Injected.class).satisfies(
                thrown -> assertThat(thrown.getSuppressed()).isEmpty());
        kernel.before = "";
        assertThat(mock.trace()).hasSameSizeAs(before);
        assertThat(first.isOpen()).isTrue();
    }

    @Test
    void memoryThatWasUnmappedIsNotUnmappedAgain() {
        Throwing linux = new Throwing(Kernel.linux());
        HostMemory first = HostMemory.allocate(linux, 1 << 26);
        linux.after = "munmap";
        assertThatThrownBy(first::close).isInstanceOf(Injected.class);
        linux.after = "";
        List<HostMemory> others = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            others.add(HostMemory.allocate(linux, 1 << 26));
        }
        first.close();
        assertThat(others).allSatisfy(other -> assertThat(other.segment().get(ValueLayout.JAVA_BYTE, 0))
                .isZero());
        others.forEach(HostMemory::close);
    }

    @Test
    void aMessageThatWasNotSetIsSetTheNextTime() {
        MsiRoute route = vm.interrupts().routes().addMsi(0xfee0_0000L, 0x41);
        kernel.before = "KVM_SET_GSI_ROUTING";
        assertThatThrownBy(() -> route.setMessage(0xfee0_0000L, 0x52)).isInstanceOf(Injected.class);
        kernel.before = "";
        assertThat(route.data()).isEqualTo(0x41);
        long before = calls("KVM_SET_GSI_ROUTING");
        route.setMessage(0xfee0_0000L, 0x52);
        assertThat(calls("KVM_SET_GSI_ROUTING")).isEqualTo(before + 1);
    }

    /** One that could not be closed keeps its number. */
    @Test
    void aRouteKeepsItsGsiUntilItIsGone() {
        MsiRoute first = vm.interrupts().routes().addMsi(0xfee0_0000L, 0x41);
        kernel.before = "KVM_SET_GSI_ROUTING";
        assertThatThrownBy(first::close).isInstanceOf(Injected.class);
        kernel.before = "";
        MsiRoute second = vm.interrupts().routes().addMsi(0xfee0_0000L, 0x42);
        assertThat(second.gsi()).isNotEqualTo(first.gsi());
        first.close();
        assertThat(vm.interrupts().routes().addMsi(0xfee0_0000L, 0x43).gsi()).isEqualTo(first.gsi());
    }

    /** What is mapped goes with the last group, and so does what would map more. */
    @Test
    void aGroupThatComesBackGetsItsMemoryAgain() {
        cdev.close();
        VfioGroup group = VfioGroup.open(PciDevice.find(kernel, ADDRESS).iommuGroup().orElseThrow());
        VfioContainer container = VfioContainer.open(group);
        GuestMemory guest = GuestMemory.create(vm, 0, memory);
        Handle mapped = guest.mapInto(container);
        group.close();
        assertThat(mapped.isOpen()).isFalse();
        VfioGroup again = VfioGroup.open(PciDevice.find(kernel, ADDRESS).iommuGroup().orElseThrow());
        container.add(again);
        guest.mapInto(container);
        assertThat(container.mappings()).hasSize(1).allMatch(DmaMapping::isOpen);
        Stream.of(again, container).forEach(Handle::close);
    }

    /** Test harnesses have such handlers. */
    @Test
    void whatAHandlerOfUncaughtExceptionsThrowsEndsNoCall() {
        Thread current = Thread.currentThread();
        Thread.UncaughtExceptionHandler before = current.getUncaughtExceptionHandler();
        List<Throwable> told = new ArrayList<>();
        current.setUncaughtExceptionHandler((_, failure) -> {
            told.add(failure);
            throw new AssertionError(failure);
        });
        try {
            Kernel observed = ObservedKernel.observe(mock, _ -> {
                throw new IllegalStateException("observer");
            });
            Kvm.open(observed).close();
        } finally {
            current.setUncaughtExceptionHandler(before);
        }
        assertThat(told).isNotEmpty().allMatch(IllegalStateException.class::isInstance);
    }
}
