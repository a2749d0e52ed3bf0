package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.Region;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.WeakReference;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("mock")
class MockPassedMemoryTest extends PassedMemoryContract {
    private static final long REGISTER = 0x0030_0000_0000_0000L;

    private MockKernel mock;

    @Override
    Kernel start() {
        mock = MockKernel.example();
        return mock;
    }

    @Override
    void assertNothingLeft() {
        mock.close();
    }

    @Test
    void soItIsForARegion() {
        Region config = AttachedDevice.request(mock, PciAddress.parse("0000:6a:01.0")).attach(vm).device()
                .region(Region.CONFIG);
        MemorySegment native4 = arena.allocate(4);
        MemorySegment heap = MemorySegment.ofArray(new byte[4]);
        int calls = mock.trace().size();
        assertThatThrownBy(() -> config.read(0, native4.asReadOnly())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("pread on ").hasMessageContaining("read-only");
        assertThatThrownBy(() -> config.read(0, heap)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("pread on ").hasMessageContaining("heap");
        assertThatThrownBy(() -> config.write(0, heap)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("pwrite on ").hasMessageContaining("heap");
        assertThat(mock.trace()).hasSize(calls);
        config.read(0, native4);
        config.write(0, native4.asReadOnly());
    }

    /** Lets the garbage be collected when a value's address is all that the kernel has. */
    private static final class Collecting extends ObservedKernel {
        private WeakReference<MemorySegment.Scope> value;
        private boolean collects;
        private boolean wasThere;

        Collecting(Kernel kernel) {
            super(kernel);
        }

        MemorySegment newValue() {
            MemorySegment segment = Arena.ofAuto().allocate(8);
            value = new WeakReference<>(segment.scope());
            return segment;
        }

        @Override
        protected long call(SystemCall call, LongSupplier made) {
            if (!call.name().contains("_ATTR") && !call.name().contains("ONE_REG")) {
                return made.getAsLong();
            }
            if (collects) {
                System.gc();
            }
            wasThere = value.get() != null;
            return 0;
        }

        /** First often enough to be compiled, because code that is interpreted keeps its variables. */
        void assertKept(Consumer<MemorySegment> call) {
            collects = false;
            for (int i = 0; i < 30_000; i++) {
                call.accept(newValue());
            }
            collects = true;
            for (int i = 0; i < 20; i++) {
                call.accept(newValue());
                assertThat(wasThere).isTrue();
            }
        }
    }

    @Test
    void noValueIsCollectedBeforeTheKernelHasIt() {
        Collecting collecting = new Collecting(mock);
        try (Kvm another = Kvm.open(collecting); Vm machine = another.createVm(); Vcpu cpu = machine.createVcpu(0)) {
            collecting.assertKept(value -> machine.trySetAttr(1, 2, value));
            collecting.assertKept(value -> machine.attr(1, 2, value));
            collecting.assertKept(value -> cpu.oneReg(REGISTER, value));
            collecting.assertKept(value -> cpu.setOneReg(REGISTER, value));
        }
    }
}
