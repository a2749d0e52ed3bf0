package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.HostMemoryRequest;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.MemorySlot;
import dev.kvmvfio.kvm.Vcpu;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The machine's own KVM, on x86-64. */
@Tag("kvm")
class RealSlotTest extends SlotContract {
    private static final long RESET_VECTOR = 0xffff_fff0L;

    private List<String> heldBefore;
    private int vcpus;

    @Override
    Kernel start() {
        heldBefore = HeldFiles.now();
        return Kernel.linux();
    }

    @Override
    void assertNothingLeft() {
        assertThat(HeldFiles.now()).isEqualTo(heldBefore);
    }

    /** A processor starts in real mode just below 4 GiB: it stores a byte and halts. */
    @Override
    void guestWrites(int address) {
        byte[] program = {(byte) 0xb0, 1, (byte) 0xa2, (byte) address, (byte) (address >> 8), (byte) 0xf4};
        try (HostMemory rom = HostMemory.allocate(kernel, PAGE); Vcpu vcpu = vm.createVcpu(vcpus++)) {
            MemorySegment.copy(MemorySegment.ofArray(program), 0, rom.segment(), RESET_VECTOR & PAGE - 1,
                    program.length);
            MemorySlot slot = vm.memory().add(RESET_VECTOR & -PAGE, rom);
            vcpu.fd().ioctl(new Ioctl("KVM_RUN", kvm_h.KVM_RUN()), 0);
            slot.close();
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void prefaultedMemoryIsThere(boolean memfd) throws IOException {
        HostMemoryRequest lazy = HostMemory.request(kernel, 256 * PAGE);
        HostMemoryRequest eager = HostMemory.request(kernel, 256 * PAGE).prefault();
        try (HostMemory untouched = (memfd ? lazy.memfd("guest") : lazy).allocate();
                HostMemory touched = (memfd ? eager.memfd("guest") : eager).allocate()) {
            assertThat(presentPages(untouched)).isZero();
            assertThat(presentPages(touched)).isEqualTo(256);
        }
    }

    private static long presentPages(HostMemory memory) throws IOException {
        int pages = (int) (memory.size() / PAGE);
        ByteBuffer entries = ByteBuffer.allocate(pages * Long.BYTES).order(ByteOrder.nativeOrder());
        try (FileChannel pagemap = FileChannel.open(Path.of("/proc/self/pagemap"))) {
            pagemap.read(entries, memory.addressOf(0, memory.size()) / PAGE * Long.BYTES);
        }
        return IntStream.range(0, pages).filter(page -> entries.getLong(page * Long.BYTES) < 0).count();
    }
}
