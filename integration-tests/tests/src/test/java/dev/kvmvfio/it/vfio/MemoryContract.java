package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.dma.DmaAccess;
import dev.kvmvfio.dma.DmaMapping;
import dev.kvmvfio.it.kvm.WatchedKernel;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.HostMemoryRequest;
import dev.kvmvfio.kernel.HugePages;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MemorySlot;
import dev.kvmvfio.kvm.SlotFlag;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.GuestBar;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.Region;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What holds for a guest's memory and its devices on every kernel, the mock and real ones. A subclass says which kernel
 * and which devices, and proves after each test that nothing was left behind.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class MemoryContract {
    static final long PAGE = 4096;
    private static final long SIZE = 16 * PAGE;
    private static final long LOW = 1 << 20;
    /** The edu device reaches 28 bits. */
    private static final long HIGH = 64 << 20;
    private static final long BAR = 0xe000_0000L;

    WatchedKernel kernel;
    private Kvm kvm;
    private Vm vm;
    private KvmVfioDevice kvmVfio;
    private HostMemory ram;
    private HostMemory more;
    private GuestMemory memory;

    /** The kernel to run on, in the state that each test begins with. */
    abstract Kernel start();

    /** Fails when anything is open, bound, registered or mapped that was not before {@link #start}. */
    abstract void assertNothingLeft();

    /** The interfaces that the kernel has. */
    abstract Stream<VfioInterface> interfaces();

    /** An edu device. */
    abstract PciAddress edu();

    /** An NVMe disk: BAR 0 has 16 KiB, and the table of MSI-X is its third page. */
    abstract PciAddress nvme();

    /** Sets so many huge pages of 2 MiB aside, as the administrator does. */
    abstract void reserveHugePages(int count);

    /** Lets the edu device copy a page. */
    abstract void copy(AttachedDevice edu, long fromIova, long toIova);

    @BeforeEach
    final void open() {
        kernel = new WatchedKernel(start());
        kvm = Kvm.open(kernel);
        vm = kvm.createVm();
        kvmVfio = KvmVfioDevice.create(vm);
        ram = HostMemory.allocate(kernel, SIZE);
        more = HostMemory.request(kernel, SIZE).memfd("more").prefault().allocate();
        memory = GuestMemory.create(vm);
    }

    @AfterEach
    final void close() {
        kvm.close();
        ram.close();
        more.close();
        assertNothingLeft();
    }

    private AttachedDevice attach(PciAddress device, VfioInterface by) {
        return AttachedDevice.request(kernel, device).via(by).attach(memory, kvmVfio);
    }

    private static MemorySegment fill(HostMemory memory, int page, int value) {
        return page(memory, page).fill((byte) value);
    }

    private static MemorySegment page(HostMemory memory, int number) {
        return memory.segment().asSlice(number * PAGE, PAGE);
    }

    private static List<Long> mapped(AttachedDevice attached) {
        return attached.dmaSpace().mappings().stream().map(DmaMapping::iova).toList();
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void memoryThatIsAddedLaterIsReachedUntilItIsRemoved(VfioInterface by) {
        memory.add(LOW, ram);
        AttachedDevice attached = attach(edu(), by);
        GuestMemory.Block block = memory.add(HIGH, more);
        assertThat(mapped(attached)).containsExactly(LOW, HIGH);
        fill(ram, 0, 0x11);
        copy(attached, LOW, HIGH + PAGE);
        assertThat(page(more, 1).mismatch(page(ram, 0))).isEqualTo(-1);
        block.close();
        assertThat(mapped(attached)).containsExactly(LOW);
        fill(ram, 0, 0x22);
        copy(attached, LOW, HIGH + PAGE);
        assertThat(page(more, 1).mismatch(fill(ram, 1, 0x11))).isEqualTo(-1);
        memory.add(HIGH, more);
        copy(attached, LOW, HIGH + PAGE);
        assertThat(page(more, 1).mismatch(page(ram, 0))).isEqualTo(-1);
        attached.close();
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void aDeviceDoesNotWriteToReadOnlyMemory(VfioInterface by) {
        memory.add(LOW, ram);
        memory.add(HIGH, more, SlotFlag.READ_ONLY);
        AttachedDevice attached = attach(edu(), by);
        fill(ram, 0, 0x11);
        fill(more, 0, 0x22);
        copy(attached, LOW, HIGH);
        assertThat(page(more, 0).mismatch(fill(ram, 1, 0x22))).isEqualTo(-1);
        copy(attached, HIGH, LOW);
        assertThat(page(ram, 0).mismatch(page(ram, 1))).isEqualTo(-1);
        attached.close();
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void hugePagesServeTheGuestAndItsDevices(VfioInterface by) {
        reserveHugePages(2);
        HostMemoryRequest request = HostMemory.request(kernel, 2 * HugePages.SIZE_2M.size())
                .hugePages(HugePages.SIZE_2M);
        HostMemory anonymous = request.allocate();
        assertThatThrownBy(request::allocate).hasMessageContaining("ENOMEM")
                .hasMessageContaining("It needs 2 free huge pages of 2 MiB");
        anonymous.close();
        HostMemory huge = request.memfd("huge").prefault().allocate();
        memory.add(LOW, ram);
        GuestMemory.Block block = memory.add(HIGH, huge);
        AttachedDevice attached = attach(edu(), by);
        fill(ram, 0, 0x11);
        long last = HIGH + huge.size() - PAGE;
        copy(attached, LOW, last);
        assertThat(huge.segment().asSlice(last - HIGH).mismatch(page(ram, 0))).isEqualTo(-1);
        attached.close();
        block.close();
        huge.close();
        reserveHugePages(0);
    }

    /** Refuses each call in turn; after each everything must be as before, and the same succeeds. */
    private void refuseEach(int calls, ThrowingCallable action, Runnable assertUndone, Runnable undo) throws Throwable {
        kernel.refuse(-1, null);
        action.call();
        List<String> all = kernel.calls();
        assertThat(all).as("the calls of it").hasSizeGreaterThanOrEqualTo(calls);
        undo.run();
        for (int i = 0; i < all.size(); i++) {
            kernel.refuse(i, Errno.ENXIO);
            assertThatThrownBy(action).as("call %d of %s", i, all).isInstanceOfSatisfying(KernelException.class,
                    refused -> assertThat(refused.errno()).isEqualTo(Errno.ENXIO));
            kernel.refuse(-1, null);
            assertUndone.run();
            action.call();
            undo.run();
        }
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void addedMemoryIsInAllDevicesOrInNone(VfioInterface by) throws Throwable {
        memory.add(LOW, ram);
        AttachedDevice first = attach(edu(), by);
        AttachedDevice second = attach(nvme(), by);
        refuseEach(3, () -> memory.add(HIGH, more), () -> {
            assertThat(memory.blocks()).hasSize(1);
            assertThat(mapped(first)).containsExactly(LOW);
            assertThat(mapped(second)).containsExactly(LOW);
        }, () -> {
            assertThat(mapped(first)).containsExactly(LOW, HIGH);
            assertThat(mapped(second)).containsExactly(LOW, HIGH);
            memory.blocks().getLast().close();
        });
        second.close();
        first.close();
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void anAttachedDeviceHasAllMemoryOrIsNotAttached(VfioInterface by) throws Throwable {
        memory.add(LOW, ram);
        memory.add(HIGH, more);
        AttachedDevice first = attach(nvme(), by);
        AttachedDevice[] second = new AttachedDevice[1];
        refuseEach(8, () -> second[0] = attach(edu(), by), () -> assertThat(mapped(first)).containsExactly(LOW, HIGH),
                () -> second[0].close());
        first.close();
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void removedMemoryIsTakenFromTheDevicesBeforeTheGuest(VfioInterface by) {
        GuestMemory.Block block = memory.add(LOW, ram);
        AttachedDevice attached = attach(edu(), by);
        kernel.refuse(-1, null);
        block.close();
        assertThat(kernel.calls()).containsExactly(
                by == VfioInterface.CDEV ? "IOMMU_IOAS_UNMAP" : "VFIO_IOMMU_UNMAP_DMA", "KVM_SET_USER_MEMORY_REGION");
        attached.close();
    }

    /** Whatever is closed first, everything else can still be closed, and nothing is left. */
    @ParameterizedTest
    @MethodSource("interfaces")
    void anyOrderOfClosingWorks(VfioInterface by) {
        for (int first = 0; first < 6; first++) {
            GuestMemory.Block block = memory.add(LOW, ram);
            AttachedDevice attached = attach(nvme(), by);
            memory.add(HIGH, more);
            GuestBar bar = attached.device().mapBar(0);
            bar.place(BAR);
            List<Handle> all = List.of(block, attached, bar, memory, attached.dmaSpace(), vm);
            all.get(first).close();
            all.reversed().forEach(Handle::close);
            assertThat(all).noneMatch(Handle::isOpen);
            close();
            open();
        }
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void whatIsInTheWayIsNamed(VfioInterface by) {
        GuestMemory.Block block = memory.add(LOW, ram);
        AttachedDevice attached = attach(edu(), by);
        attached.dmaSpace().map(HIGH, ram, 0, PAGE, DmaAccess.READ);
        assertThatThrownBy(() -> memory.add(LOW + PAGE, more)).hasMessageContaining("EEXIST")
                .hasMessageEndingWith("It overlaps [" + block.slot() + "]");
        assertThatThrownBy(() -> memory.add(HIGH, more)).hasMessageContaining("EEXIST")
                .hasMessageContaining(
                        String.format("It overlaps [DMA mapping of 0x%x bytes at IOVA 0x%x in", PAGE, HIGH));
        assertThatThrownBy(() -> memory.mapInto(attached.dmaSpace())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageEndingWith("has this memory already");
        assertThat(memory.blocks()).containsExactly(block);
        attached.close();
    }

    @ParameterizedTest
    @MethodSource("interfaces")
    void aBarIsSlotsButForTheTableOfMsix(VfioInterface by) throws Throwable {
        AttachedDevice attached = attach(nvme(), by);
        Region region = attached.device().region(Region.BAR0);
        assertThat(attached.device().msixTable()).hasValueSatisfying(table -> {
            assertThat(table.region()).isEqualTo(Region.BAR0);
            assertThat(table.offset()).isEqualTo(2 * PAGE);
        });
        assertThat(region.isMsixMappable()).as("the kernel would let us map it").isTrue();
        GuestBar bar = attached.device().mapBar(0);
        assertThat(bar.mappedAreas()).containsExactly(new Region.Area(0, 2 * PAGE), new Region.Area(3 * PAGE, PAGE));
        assertThat(bar.trappedAreas()).containsExactly(new Region.Area(2 * PAGE, PAGE));
        refuseEach(2, () -> bar.place(BAR), () -> assertThat(bar.address()).isEmpty(), bar::remove);
        bar.place(BAR);
        assertThat(bar.contains(BAR + 4 * PAGE - 1)).isTrue();
        assertThat(bar.contains(BAR + 4 * PAGE)).isFalse();
        assertThat(bar.contains(BAR - 1)).isFalse();
        assertThatThrownBy(() -> memory.add(BAR, ram)).hasMessageContaining("EEXIST");
        HostMemory page = HostMemory.allocate(kernel, PAGE);
        vm.memory().add(BAR + 2 * PAGE, page).close();
        assertThatThrownBy(() -> bar.place(BAR + PAGE)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("no multiple of the size");
        MemorySlot inTheWay = vm.memory().add(2 * BAR + 3 * PAGE, page);
        assertThatThrownBy(() -> bar.place(2 * BAR)).hasMessageContaining("EEXIST");
        assertThat(bar.address()).hasValue(BAR);
        inTheWay.close();
        bar.place(2 * BAR);
        assertThat(bar.contains(BAR)).isFalse();
        memory.add(BAR, ram);
        attached.close();
        assertThat(bar.isOpen()).isFalse();
        assertThatThrownBy(() -> bar.place(BAR)).isInstanceOf(IllegalStateException.class);
        memory.close();
        vm.close();
        page.close();
    }
}
