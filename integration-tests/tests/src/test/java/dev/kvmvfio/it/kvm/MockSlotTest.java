package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockGuest;
import dev.kvmvfio.mock.MockKernel;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("mock")
class MockSlotTest extends SlotContract {
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

    private MockGuest guest() {
        return mock.guest(vm.fd().number());
    }

    @Override
    void guestWrites(int address) {
        guest().writeMemory(address, MemorySegment.ofArray(new byte[]{1}));
    }

    @Test
    void theGuestReadsAndWritesAcrossSlots() {
        try (var low = HostMemory.allocate(kernel, PAGE);
                var high = HostMemory.allocate(kernel, PAGE)) {
            var first = vm.memory().add(PAGE, low);
            var second = vm.memory().add(2 * PAGE, high);
            MemorySegment word = MemorySegment.ofArray(new byte[]{1, 2, 3, 4});
            assertThat(guest().writeMemory(2 * PAGE - 2, word)).isTrue();
            assertThat(guest().readMemory(2 * PAGE - 2, 4)).hasValueSatisfying(
                    read -> assertThat(read.mismatch(word)).isEqualTo(-1));
            assertThat(high.segment().get(ValueLayout.JAVA_BYTE, 1)).isEqualTo((byte) 4);
            assertThat(guest().writeMemory(PAGE - 1, word)).as("some of it is no memory").isFalse();
            assertThat(low.segment().get(ValueLayout.JAVA_BYTE, 0)).isZero();
            assertThat(guest().readMemory(3 * PAGE - 1, 2)).isEmpty();
            first.close();
            second.close();
        }
    }
}
