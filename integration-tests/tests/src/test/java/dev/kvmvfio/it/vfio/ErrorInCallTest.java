package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.Step;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.MsiVectors;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * An Error comes out of each system call, before or after the kernel did it, and out of each listener, from open to close.
 * What was thrown arrives, and after another close nothing is left.
 */
@Tag("mock")
class ErrorInCallTest {
    private static final PciAddress ADDRESS = PciAddress.parse("0000:6a:01.0");
    /** Nobody can close a file, or unmap an address, that the kernel returned and an Error took away. */
    private static final Set<String> RETURN_A_FILE_OR_AN_ADDRESS = Set.of("open", "eventfd", "mmap", "KVM_CREATE_VM",
            "KVM_CREATE_VCPU", "KVM_CREATE_DEVICE", "VFIO_GROUP_GET_DEVICE_FD");

    /** Where the Error comes, beside the system call. */
    private enum Place {
        BEFORE, AFTER, BEFORE_ALL_OTHERS
    }

    private static final class Failing extends ObservedKernel {
        private final Place place;
        private final int failing;
        private int calls;
        private boolean healed;
        private Error thrown;

        Failing(Kernel kernel, Place place, int failing) {
            super(kernel);
            this.place = place;
            this.failing = failing;
        }

        @Override
        protected long call(SystemCall call, LongSupplier made) {
            int number = calls++;
            boolean now = !healed && (number == failing || place == Place.BEFORE_ALL_OTHERS && number > failing);
            // A second close(2) could close another file.
            if (!now || call.name().equals("close")) {
                return made.getAsLong();
            }
            if (place != Place.AFTER) {
                throw error(call);
            }
            long result = made.getAsLong();
            if (result < 0 || RETURN_A_FILE_OR_AN_ADDRESS.contains(call.name())) {
                return result;
            }
            throw error(call);
        }

        private Error error(SystemCall call) {
            Error error = new AssertionError(call.toString());
            if (thrown == null) {
                thrown = error;
            }
            return error;
        }
    }

    /** A program that opens, attaches, connects, places, detaches and closes. */
    private static void run(Kernel kernel, VfioInterface by, Consumer<Step> listener,
            List<Handle> opened) {
        Kvm kvm = keep(opened, Kvm.open(kernel));
        Vm vm = kvm.createVm();
        vm.interrupts().createIrqchip();
        HostMemory ram = keep(opened, HostMemory.allocate(kernel, 1 << 16));
        HostMemory more = keep(opened, HostMemory.allocate(kernel, 1 << 16));
        GuestMemory memory = GuestMemory.create(vm, 0, ram);
        vm.createVcpu(0);
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by).watch(listener).attach(memory);
        memory.add(1 << 20, more).slot();
        attached.device().mapBar(0).place(1 << 28);
        MsiVectors vectors = attached.device().connectMsi(1);
        vectors.program(0, 0xfee0_0000L, 0x41);
        vectors.mask(0);
        vectors.unmask(0);
        vectors.close();
        EventFd eventFd = keep(opened, EventFd.create(kernel));
        attached.device().interrupt(Interrupt.MSI).enable(eventFd);
        attached.close();
        AttachedDevice again = AttachedDevice.request(kernel, ADDRESS).via(by).attach(memory);
        more.close();
        vm.close();
        assertThat(again.isOpen()).isFalse();
    }

    private static <H extends Handle> H keep(List<Handle> opened, H handle) {
        opened.add(handle);
        return handle;
    }

    private static Stream<Arguments> placesAndInterfaces() {
        return Stream.of(Place.values())
                .flatMap(place -> Stream.of(VfioInterface.values()).map(by -> Arguments.of(place, by)));
    }

    @ParameterizedTest
    @MethodSource("placesAndInterfaces")
    void anErrorOutOfACallLeavesNothing(Place place, VfioInterface by) {
        int failing = 0;
        while (errorAtCall(place, by, failing)) {
            failing++;
        }
        assertThat(failing).isGreaterThan(100);
    }

    private static boolean errorAtCall(Place place, VfioInterface by, int number) {
        try (MockKernel mock = MockKernel.example()) {
            Failing kernel = new Failing(mock, place, number);
            List<Handle> opened = new ArrayList<>();
            Throwable seen = null;
            try {
                run(kernel, by, _ -> {
                }, opened);
            } catch (Throwable failure) {
                seen = failure;
            }
            assertThat(seen).as("call %d", number).isSameAs(kernel.thrown);
            boolean ranToItsEnd = kernel.calls <= number;
            kernel.healed = true;
            opened.reversed().forEach(Handle::close);
            assertThat(mock.leaks()).as("after %s", kernel.thrown).isEmpty();
            return !ranToItsEnd;
        }
    }

    @ParameterizedTest
    @EnumSource
    void anErrorOutOfAListenerLeavesNothing(VfioInterface by) {
        int failing = 0;
        while (errorAtStep(by, failing)) {
            failing++;
        }
        assertThat(failing).isGreaterThan(14);
    }

    private static boolean errorAtStep(VfioInterface by, int number) {
        try (MockKernel mock = MockKernel.example()) {
            List<Step> steps = new ArrayList<>();
            List<Handle> opened = new ArrayList<>();
            AssertionError error = new AssertionError("step " + number);
            Throwable seen = null;
            try {
                run(mock, by, step -> {
                    steps.add(step);
                    if (steps.size() == number + 1) {
                        throw error;
                    }
                }, opened);
            } catch (Throwable failure) {
                seen = failure;
            }
            boolean ranToItsEnd = steps.size() <= number;
            assertThat(seen).isSameAs(ranToItsEnd ? null : error);
            opened.reversed().forEach(Handle::close);
            assertThat(mock.leaks()).as("after %s", steps).isEmpty();
            return !ranToItsEnd;
        }
    }
}
