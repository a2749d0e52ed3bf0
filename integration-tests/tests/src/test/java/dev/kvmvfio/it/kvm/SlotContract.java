package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.HugePages;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MemorySlot;
import dev.kvmvfio.kvm.SlotFlag;
import dev.kvmvfio.kvm.Vm;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a guest's writes make of its memory slots, and what memory they can be made of, on the mock and the real KVM. */
abstract class SlotContract {
    static final long PAGE = 4096;

    WatchedKernel kernel;
    Kvm kvm;
    Vm vm;

    /** The kernel to run on. */
    abstract Kernel start();

    /** Fails when anything is open that was not before {@link #start}. */
    abstract void assertNothingLeft();

    /** Lets the guest store a byte that is not zero, in its first 64 KiB. */
    abstract void guestWrites(int address);

    @BeforeEach
    final void open() {
        kernel = new WatchedKernel(start());
        kvm = Kvm.open(kernel);
        vm = kvm.createVm();
    }

    @AfterEach
    final void close() {
        kvm.close();
        assertNothingLeft();
    }

    private static BitSet pages(int... numbers) {
        BitSet pages = new BitSet();
        for (int number : numbers) {
            pages.set(number);
        }
        return pages;
    }

    private static byte at(HostMemory memory, long position) {
        return memory.segment().get(ValueLayout.JAVA_BYTE, position);
    }

    @Test
    void theDirtyLogHasWhatTheGuestWroteSinceItWasRead() {
        try (HostMemory ram = HostMemory.allocate(kernel, 8 * PAGE);
                MemorySlot slot = vm.memory().add(2 * PAGE, ram, SlotFlag.DIRTY_LOG)) {
            ram.segment().set(ValueLayout.JAVA_BYTE, 5 * PAGE, (byte) 1);
            assertThat(slot.dirtyLog()).as("what the program writes").isEqualTo(pages());
            guestWrites((int) (5 * PAGE - 1));
            assertThat(at(ram, 3 * PAGE - 1)).isNotZero();
            assertThat(slot.dirtyLog()).isEqualTo(pages(2));
            assertThat(slot.dirtyLog()).as("read once").isEqualTo(pages());
            guestWrites((int) (2 * PAGE));
            guestWrites((int) (9 * PAGE));
            guestWrites((int) (9 * PAGE + 1));
            assertThat(slot.dirtyLog()).isEqualTo(pages(0, 7));
        }
    }

    @Test
    void aSlotWithoutALogSaysHowToGetOne() {
        try (HostMemory ram = HostMemory.allocate(kernel, PAGE); MemorySlot slot = vm.memory().add(0, ram)) {
            assertThatThrownBy(slot::dirtyLog).isInstanceOfSatisfying(KernelException.class,
                    refused -> assertThat(refused.errno()).isEqualTo(Errno.ENOENT))
                    .hasMessageEndingWith("Add the memory with SlotFlag.DIRTY_LOG");
        }
    }

    /** Its number may be another slot's by then, with a longer log. */
    @Test
    void aClosedSlotsLogIsNotRead() {
        try (HostMemory ram = HostMemory.allocate(kernel, PAGE)) {
            MemorySlot slot = vm.memory().add(0, ram, SlotFlag.DIRTY_LOG);
            slot.close();
            kernel.refuse(-1, null);
            assertThatThrownBy(slot::dirtyLog).isInstanceOf(IllegalStateException.class)
                    .hasMessageEndingWith("is closed");
            assertThat(kernel.calls()).isEmpty();
        }
    }

    @Test
    void theGuestDoesNotWriteToReadOnlyMemory() {
        try (HostMemory rom = HostMemory.allocate(kernel, 2 * PAGE);
                MemorySlot slot = vm.memory().add(0, rom, SlotFlag.READ_ONLY, SlotFlag.DIRTY_LOG)) {
            guestWrites(0x123);
            assertThat(at(rom, 0x123)).isZero();
            assertThat(slot.dirtyLog()).isEqualTo(pages());
        }
    }

    @Test
    void aMemfdIsSharedWithWhoeverHasItsFile() {
        HostMemory ram = HostMemory.request(kernel, 4 * PAGE).memfd("guest").allocate();
        assertThat(ram).hasToString("host memory of 0x4000 bytes, memfd guest");
        MemorySlot slot = vm.memory().add(0, ram);
        guestWrites(0x1234);
        int fd = ram.file().orElseThrow().number();
        int copy = kernel.dup(fd);
        slot.close();
        byte written = at(ram, 0x1234);
        ram.close();
        long address = kernel.mmap(4 * PAGE, system_h.PROT_READ(), system_h.MAP_SHARED(), copy, 0);
        assertThat(written).isNotZero().isEqualTo(peek(address + 0x1234));
        kernel.munmap(address, 4 * PAGE);
        kernel.close(copy);
    }

    @SuppressWarnings("restricted")
    private static byte peek(long address) {
        return MemorySegment.ofAddress(address).reinterpret(1).get(ValueLayout.JAVA_BYTE, 0);
    }

    @Test
    void anonymousMemoryHasNoFile() {
        try (HostMemory ram = HostMemory.request(kernel, PAGE).prefault().allocate()) {
            assertThat(ram.file()).isEmpty();
            assertThat(ram).hasToString("host memory of 0x1000 bytes");
            assertThat(at(ram, PAGE - 1)).isZero();
        }
    }

    @Test
    void everyFailingCallOfAMemfdLeavesNothing() {
        kernel.refuse(-1, null);
        HostMemory.request(kernel, PAGE).memfd("guest").allocate().close();
        List<String> calls = kernel.calls();
        assertThat(calls).containsExactly("memfd_create", "ftruncate", "mmap", "munmap");
        for (int i = 0; i < 3; i++) {
            kernel.refuse(i, Errno.EMFILE);
            assertThatThrownBy(() -> HostMemory.request(kernel, PAGE).memfd("guest").allocate())
                    .isInstanceOf(KernelException.class)
                    .hasMessageStartingWith(
                            calls.get(i) + " on host memory of 0x1000 bytes, memfd guest {length=4096}: EMFILE");
        }
    }

    @Test
    void memoryIsWholePages() {
        kernel.refuse(-1, null);
        for (long size : new long[]{0, -PAGE, PAGE + 1}) {
            assertThatThrownBy(() -> HostMemory.request(kernel, size).memfd("guest").allocate())
                    .isInstanceOf(IllegalArgumentException.class);
        }
        assertThatThrownBy(() -> HostMemory.request(kernel, PAGE).hugePages(HugePages.SIZE_2M).allocate())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("length 0x1000 is not a multiple of the page size 0x200000");
        assertThat(kernel.calls()).isEmpty();
    }

    @ParameterizedTest
    @EnumSource
    void tooFewHugePagesHaveARemedy(HugePages pages) {
        long size = 1L << 42;
        String remedy = String.format("needs %d free huge pages of %s: raise /sys/kernel/mm/hugepages/hugepages-%dkB/",
                size / pages.size(), pages, pages.size() >> 10);
        assertThatThrownBy(() -> HostMemory.request(kernel, size).hugePages(pages).allocate())
                .isInstanceOf(KernelException.class).hasMessageContaining("ENOMEM").hasMessageContaining(remedy);
        assertThatThrownBy(() -> HostMemory.request(kernel, size).hugePages(pages).memfd("guest").allocate())
                .isInstanceOf(KernelException.class).hasMessageContaining("ENOMEM").hasMessageContaining(remedy);
    }
}
