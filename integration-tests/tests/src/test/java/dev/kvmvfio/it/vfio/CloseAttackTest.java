package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.assertj.core.api.InstanceOfAssertFactories.STRING;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.dma.DmaMapping;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.kvm.IrqFd;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MemorySlot;
import dev.kvmvfio.kvm.MpState;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockCpu;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.GuestBar;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.MsiVectors;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.VfioContainer;
import dev.kvmvfio.vfio.VfioGroup;
import java.lang.foreign.Arena;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a close does after a refusal, and what one does to a call that it crosses. */
@Tag("mock")
class CloseAttackTest {
    private static final PciAddress ADDRESS = PciAddress.parse("0000:6a:01.0");

    /** Refuses all calls of one name for a while, and tells of each call before and after it. */
    private static final class Nasty extends ObservedKernel {
        private volatile String refused = "";
        private volatile int refusals;
        private volatile String watched = "";
        private volatile Runnable before = () -> {
        };
        private volatile Runnable after = () -> {
        };

        Nasty(Kernel kernel) {
            super(kernel);
        }

        @Override
        protected long call(SystemCall call, LongSupplier made) {
            if (call.name().equals(refused)) {
                refusals++;
                return -Errno.EIO.number();
            }
            boolean now = call.name().equals(watched);
            if (now) {
                before.run();
            }
            long result = made.getAsLong();
            if (now) {
                after.run();
            }
            return result;
        }
    }

    private final MockKernel mock = MockKernel.example();
    private final Nasty kernel = new Nasty(mock);
    private final Kvm kvm = Kvm.open(kernel);
    private final Vm vm = kvm.createVm();
    private final List<Handle> roots = new ArrayList<>(List.of(kvm));

    private <H extends Handle> H root(H handle) {
        roots.add(handle);
        return handle;
    }

    @AfterEach
    void nothingIsLeft() {
        kernel.refused = "";
        roots.forEach(Handle::close);
        mock.close();
    }

    private <H extends Handle> List<H> open(Class<H> type) {
        return vm.openHandles().stream().filter(type::isInstance).map(type::cast).toList();
    }

    private static void await(CountDownLatch latch) {
        try {
            assertThat(latch.await(20, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A container's mappings end with its last group, and could never be closed after it. */
    @Test
    void theLastGroupStaysWithAMappingThatWasRefused() {
        VfioGroup group = root(VfioGroup.open(PciDevice.find(kernel, ADDRESS).iommuGroup().orElseThrow()));
        VfioContainer container = root(VfioContainer.open(group));
        HostMemory memory = root(HostMemory.allocate(kernel, 1 << 16));
        DmaMapping mapping = container.map(0, memory);
        kernel.refused = "VFIO_IOMMU_UNMAP_DMA";
        assertThatThrownBy(group::close).isInstanceOf(KernelException.class);
        assertThat(container.openHandles()).contains(mapping);
        assertThat(mock.trace()).noneMatch(call -> call.name().equals("VFIO_GROUP_UNSET_CONTAINER"));
        kernel.refused = "";
        group.close();
        assertThat(container.openHandles()).isEmpty();
    }

    /** A mapping belongs to its space, its memory and more: each of them closes it, and would try again. */
    @ParameterizedTest
    @EnumSource
    void aCloseTriesWhatIsRefusedOnce(VfioInterface by) {
        GuestMemory memory = GuestMemory.create(vm, 0, root(HostMemory.allocate(kernel, 1 << 16)));
        memory.add(1 << 20, root(HostMemory.allocate(kernel, 1 << 16)));
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by).attach(memory);
        kernel.refused = by == VfioInterface.CDEV ? "IOMMU_IOAS_UNMAP" : "VFIO_IOMMU_UNMAP_DMA";
        for (Handle handle : List.of(attached, vm, kvm, memory)) {
            kernel.refusals = 0;
            assertThatThrownBy(handle::close).isInstanceOf(KernelException.class)
                    .satisfies(first -> assertThat(first.getSuppressed()).hasSize(1).doesNotContain(first));
            assertThat(kernel.refusals).as("by the close of " + handle).isEqualTo(2);
        }
    }

    /** It is found before all its parts are there. */
    @ParameterizedTest
    @EnumSource
    void whatIsBeingAttachedSaysSo(VfioInterface by) {
        List<String> names = new ArrayList<>();
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by)
                .watch(step -> open(AttachedDevice.class).forEach(made -> {
                    names.add(made.toString());
                    if (step.call().equals("KVM_CREATE_DEVICE")) {
                        assertThatThrownBy(made::device).isInstanceOf(IllegalStateException.class)
                                .hasMessageContaining("is being made");
                        assertThatThrownBy(made::dmaSpace).isInstanceOf(IllegalStateException.class)
                                .hasMessageContaining("is being made");
                    }
                })).attach(vm);
        assertThat(names).first(STRING).startsWith("device attached by");
        assertThat(names).last().isEqualTo(attached.toString());
    }

    /** The space is asked for no block that was added to another, nor one that has left. */
    @Test
    void aBlockIsMappedWhereTheMemoryIsNow() {
        GuestMemory memory = GuestMemory.create(vm);
        Iommufd iommufd = root(Iommufd.open(kernel));
        Ioas left = iommufd.allocateIoas();
        Ioas there = iommufd.allocateIoas();
        memory.mapInto(left).close();
        memory.mapInto(there);
        assertThatThrownBy(() -> memory.mapInto(there)).isInstanceOf(IllegalArgumentException.class);
        HostMemory part = root(HostMemory.allocate(kernel, 1 << 16));
        memory.add(0, part);
        assertThat(left.mappings()).isEmpty();
        assertThat(there.mappings()).hasSize(1);
        memory.mapInto(left);
        assertThat(left.mappings()).hasSize(1);
        there.close();
        memory.add(1 << 20, part);
        assertThat(left.mappings()).hasSize(2);
    }

    @Test
    void aListenerTriesWhatWasRefusedAgain() {
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(VfioInterface.CDEV).attach(vm);
        HostMemory memory = root(HostMemory.allocate(kernel, 1 << 16));
        DmaMapping mapping = attached.dmaSpace().map(0, memory);
        kernel.refused = "IOMMU_IOAS_UNMAP";
        assertThatThrownBy(mapping::close).isInstanceOf(KernelException.class);
        kernel.watched = "KVM_CHECK_EXTENSION";
        kernel.before = () -> {
            assertThatThrownBy(mapping::close).isInstanceOf(KernelException.class);
            kernel.refused = "";
            mapping.close();
        };
        vm.checkExtension(1);
        assertThat(memory.openHandles()).isEmpty();
    }

    @ParameterizedTest
    @EnumSource
    void aVectorThatWasNotMaskedIsMaskedTheNextTime(VfioInterface by) {
        vm.interrupts().createIrqchip();
        MsiVectors vectors = AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm).device().connectMsi(1);
        vectors.program(0, 0xfee0_0000L, 0x41);
        kernel.refused = "KVM_IRQFD";
        assertThatThrownBy(() -> vectors.mask(0)).isInstanceOf(KernelException.class);
        kernel.refused = "";
        vectors.mask(0);
        assertThat(open(IrqFd.class)).isEmpty();
        vectors.unmask(0);
        kernel.refused = "KVM_IRQFD";
        assertThatThrownBy(() -> vectors.mask(0)).isInstanceOf(KernelException.class);
        kernel.refused = "";
        vectors.unmask(0);
        assertThat(open(IrqFd.class)).hasSize(1);
        vectors.close();
        assertThatThrownBy(() -> vectors.isPending(0)).isInstanceOf(ClosedException.class);
    }

    @ParameterizedTest
    @EnumSource
    void aBarThatWasNotRemovedIsRemovedTheNextTime(VfioInterface by) {
        GuestBar bar = AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm).device().mapBar(0);
        bar.place(1 << 28);
        kernel.refused = "KVM_SET_USER_MEMORY_REGION";
        assertThatThrownBy(bar::remove).isInstanceOf(KernelException.class);
        assertThat(bar.address()).hasValue(1 << 28);
        kernel.refused = "";
        bar.remove();
        assertThat(bar.address()).isEmpty();
        assertThat(open(MemorySlot.class)).isEmpty();
        bar.place(1 << 28);
    }

    @ParameterizedTest
    @EnumSource
    void aBarThatLeftASlotBehindTakesItAlongTheNextTime(VfioInterface by) {
        GuestBar bar = AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm).device().mapBar(0);
        bar.place(1 << 28);
        kernel.watched = "KVM_SET_USER_MEMORY_REGION";
        kernel.after = () -> kernel.refused = "KVM_SET_USER_MEMORY_REGION";
        assertThatThrownBy(() -> bar.place(1 << 29)).isInstanceOf(KernelException.class);
        kernel.watched = "";
        kernel.refused = "";
        bar.place(1 << 28);
        assertThat(open(MemorySlot.class)).singleElement()
                .satisfies(slot -> assertThat(slot.guestPhysicalAddress()).isEqualTo(1 << 28));
    }

    @ParameterizedTest
    @EnumSource
    void anInterruptThatWasNotDisabledIsEnabledAnewAndClosed(VfioInterface by) {
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm);
        EventFd eventFd = root(EventFd.create(kernel));
        Interrupt msi = attached.device().interrupt(Interrupt.MSI);
        msi.enable(eventFd);
        kernel.refused = "VFIO_DEVICE_SET_IRQS";
        assertThatThrownBy(msi::disable).isInstanceOf(KernelException.class);
        kernel.refused = "";
        msi.enable(eventFd);
        msi.disable();
        attached.close();
        assertThat(vm.openHandles()).isEmpty();
    }

    @ParameterizedTest
    @EnumSource
    void anEnableCrossesADisable(VfioInterface by) throws Exception {
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm);
        EventFd eventFd = root(EventFd.create(kernel));
        Interrupt msi = attached.device().interrupt(Interrupt.MSI);
        msi.enable(eventFd);
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        kernel.before = () -> {
            kernel.watched = "";
            begun.countDown();
            await(goOn);
        };
        kernel.watched = "VFIO_DEVICE_SET_IRQS";
        Thread disabling = Thread.ofPlatform().daemon().start(msi::disable);
        await(begun);
        Thread enabling = Thread.ofPlatform().daemon().start(() -> msi.enable(eventFd));
        enabling.join(200);
        goOn.countDown();
        disabling.join();
        enabling.join();
        assertThat(msi.isEnabled()).isTrue();
        msi.trigger(0);
        assertThat(eventFd.take()).isEqualTo(1);
        attached.close();
        assertThat(vm.openHandles()).isEmpty();
    }

    /** What a thread closes when it has left a call has not written over the call's answer. */
    @Test
    void aCallKeepsItsAnswerWhateverItsObserverCloses() {
        vm.interrupts().createIrqchip();
        Vcpu vcpu = vm.createVcpu(0);
        vm.interrupts().addIrqFd(root(EventFd.create(kernel)), 5);
        kernel.after = vm::close;
        kernel.watched = "KVM_GET_MP_STATE";
        assertThat(vcpu.mpState()).isEqualTo(MpState.RUNNABLE);
        assertThat(vm.openHandles()).isEmpty();
    }

    /** The last call on a file ends with the file's close, and a close waits for both. */
    @ParameterizedTest
    @EnumSource
    void aCloseWaitsUntilTheLastCallHasClosedTheFile(VfioInterface by) throws Exception {
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm);
        Region config = attached.device().region(Region.CONFIG);
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        FutureTask<Integer> reading = new FutureTask<>(() -> config.readInt(0));
        Thread reader = Thread.ofPlatform().daemon().unstarted(reading);
        kernel.before = () -> {
            if (Thread.currentThread() == reader) {
                if (kernel.watched.equals("pread")) {
                    kernel.watched = "close";
                    begun.countDown();
                    await(goOn);
                } else {
                    sleep();
                }
            }
        };
        kernel.watched = "pread";
        reader.start();
        await(begun);
        FutureTask<Boolean> closing = new FutureTask<>(attached::close, true);
        Thread.ofPlatform().daemon().start(closing);
        sleep();
        goOn.countDown();
        assertThat(closing.get(20, TimeUnit.SECONDS)).isTrue();
        reading.get(20, TimeUnit.SECONDS);
        assertThat(mock.trace()).filteredOn(call -> call.name().equals("VFIO_GROUP_UNSET_CONTAINER"))
                .allMatch(call -> call.result() == 0);
    }

    private static void sleep() {
        try {
            Thread.sleep(200);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @ParameterizedTest
    @EnumSource
    void aDeviceIsClosedWhileItsLineIsConnected(VfioInterface by) {
        vm.interrupts().createIrqchip();
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm);
        attached.device().interrupts();
        int[] calls = new int[1];
        kernel.before = () -> {
            if (calls[0]++ == 1) {
                attached.close();
            }
        };
        kernel.watched = "VFIO_DEVICE_SET_IRQS";
        try {
            attached.device().connectIntx(5);
        } catch (ClosedException closed) {
            // The close came first.
        }
        assertThat(vm.openHandles()).isEmpty();
        assertThat(mock.trace()).filteredOn(call -> call.name().equals("VFIO_DEVICE_SET_IRQS"))
                .allMatch(call -> call.result() >= 0);
    }

    @Test
    void aListenerThatClosesTheVmEndsTheAttachAsClosed() {
        for (int step = 0; step < 9; step++) {
            int last = step;
            int[] steps = new int[1];
            Vm other = kvm.createVm();
            GuestMemory memory = GuestMemory.create(other, 0, root(HostMemory.allocate(kernel, 1 << 16)));
            try {
                AttachedDevice.request(kernel, ADDRESS).via(VfioInterface.GROUP).watch(_ -> {
                    if (steps[0]++ == last) {
                        other.close();
                    }
                }).attach(memory);
            } catch (ClosedException closed) {
                assertThat(closed.getSuppressed()).isEmpty();
            }
            other.close();
        }
    }

    @Test
    void aClosedVcpuIsNotKicked() {
        Vcpu vcpu = vm.createVcpu(0);
        vm.close();
        assertThatThrownBy(vcpu::kick).isInstanceOf(ClosedException.class);
    }

    @Test
    void aHandleThatIsBeingMadeHasAName() {
        kernel.after = () -> assertThat(vm.openHandles().toString()).contains("VFIO");
        kernel.watched = "KVM_CREATE_DEVICE";
        KvmVfioDevice.create(vm);
    }

    static Stream<RuntimeException> whatALoggerThrows() {
        return Stream.of(new IllegalArgumentException("the log"), new UnsupportedOperationException("the log"),
                new ClosedException("the log"), new KernelException("write", "the log", -Errno.ENOENT.number()));
    }

    /** What comes out of a program's own kernel says nothing about whether Linux made the call. */
    @ParameterizedTest
    @MethodSource("whatALoggerThrows")
    void whateverAnObserverThrowsIsUndone(RuntimeException thrown) {
        HostMemory memory = root(HostMemory.allocate(kernel, 1 << 16));
        kernel.after = () -> {
            kernel.watched = "";
            throw thrown;
        };
        kernel.watched = "KVM_SET_USER_MEMORY_REGION";
        assertThatThrownBy(() -> vm.memory().add(0, memory)).isSameAs(thrown);
        vm.memory().add(0, memory).close();
        kernel.before = kernel.after;
        kernel.after = () -> {
        };
        MemorySlot slot = vm.memory().add(0, memory);
        kernel.watched = "KVM_SET_USER_MEMORY_REGION";
        assertThatThrownBy(memory::close).isSameAs(thrown);
        assertThat(memory.openHandles()).containsExactly(slot);
        memory.close();
        assertThat(vm.openHandles()).isEmpty();
    }

    private Thread runHalted(Vcpu vcpu) throws InterruptedException {
        CountDownLatch begun = new CountDownLatch(1);
        kernel.before = begun::countDown;
        kernel.watched = "KVM_RUN";
        mock.guest(vm.fd().number()).program(0, MockCpu::halt);
        Thread runner = Thread.ofPlatform().daemon()
                .start(() -> assertThat(vcpu.run()).isEqualTo(VcpuExit.Closed.INSTANCE));
        await(begun);
        return runner;
    }

    @Test
    void aVmKeepsItsMemoryWhileAVcpuCannotBeStopped() throws InterruptedException {
        vm.interrupts().createIrqchip();
        MemorySlot slot = vm.memory().add(0, root(HostMemory.allocate(kernel, 1 << 16)));
        Vcpu vcpu = vm.createVcpu(0);
        Thread runner = runHalted(vcpu);
        kernel.refused = "tgkill";
        assertThatThrownBy(vm::close).isInstanceOf(KernelException.class);
        assertThat(kvm.openHandles()).contains(vm, vcpu, slot);
        kernel.refused = "";
        vm.close();
        runner.join(20_000);
        assertThat(runner.isAlive()).isFalse();
        assertThat(kvm.openHandles()).isEmpty();
    }

    @Test
    void aVcpuStopsThoughItsSharedMemoryWentFirst() throws InterruptedException {
        vm.interrupts().createIrqchip();
        Thread runner = runHalted(vm.createVcpu(0));
        vm.openHandles().reversed().forEach(Handle::close);
        runner.join(20_000);
        assertThat(runner.isAlive()).isFalse();
    }

    @ParameterizedTest
    @EnumSource
    void everyRefusalOfACloseIsTold(VfioInterface by) {
        HostMemory memory = root(HostMemory.allocate(kernel, 1 << 16));
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm);
        attached.dmaSpace().map(0, memory);
        vm.memory().add(1 << 20, memory);
        mock.failCall("KVM_SET_USER_MEMORY_REGION", 1, Errno.EBUSY);
        mock.failCall(by == VfioInterface.CDEV ? "IOMMU_IOAS_UNMAP" : "VFIO_IOMMU_UNMAP_DMA", 1, Errno.EIO);
        assertThatThrownBy(vm::close).isInstanceOfSatisfying(KernelException.class,
                first -> assertThat(Stream.concat(Stream.of(first), Stream.of(first.getSuppressed())))
                        .extracting(told -> ((KernelException) told).errno())
                        .containsExactlyInAnyOrder(Errno.EBUSY, Errno.EIO));
    }

    /** Closed in the observer of a close of what is below, which the thread must leave first. */
    @Test
    void aVmThatIsClosedLaterCountsAsClosedAtOnce() {
        HostMemory memory = root(HostMemory.allocate(kernel, 1 << 16));
        MemorySlot slot = vm.memory().add(0, memory);
        kernel.before = () -> {
            vm.close();
            assertThat(vm.isOpen()).isFalse();
            assertThatThrownBy(() -> vm.createVcpu(0)).isInstanceOf(ClosedException.class);
        };
        kernel.watched = "KVM_SET_USER_MEMORY_REGION";
        slot.close();
        assertThat(kvm.openHandles()).isEmpty();
    }

    /** Two threads that close, each in its observer, what the other one is using. */
    @ParameterizedTest
    @ValueSource(strings = {"eventfd", "mmap", "memfd_create", "open", "readlink", "KVM_CHECK_EXTENSION"})
    void aCloseInAnObserverWaitsForNobody(String call) throws Exception {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch closed = new CountDownLatch(1);
        kernel.watched = "KVM_CREATE_VCPU";
        kernel.after = () -> {
            inside.countDown();
            await(closed);
        };
        FutureTask<Vcpu> creating = new FutureTask<>(() -> vm.createVcpu(0));
        Thread.ofPlatform().daemon().start(creating);
        await(inside);
        Kernel other = new ObservedKernel(mock) {
            private boolean done;

            @Override
            protected long call(SystemCall now, LongSupplier made) {
                if (now.name().equals(call) && !done) {
                    done = true;
                    vm.close();
                    closed.countDown();
                }
                return made.getAsLong();
            }
        };
        HostMemory.request(other, 1 << 16).memfd("guest").allocate().close();
        EventFd.create(other).close();
        try (Kvm kvmOfOther = Kvm.open(other)) {
            kvmOfOther.checkExtension(1);
            PciDevice.find(other, ADDRESS).driver();
        }
        assertThat(closed.getCount()).isZero();
        assertThatThrownBy(() -> creating.get(20, TimeUnit.SECONDS)).hasCauseInstanceOf(ClosedException.class);
    }

    @ParameterizedTest
    @EnumSource
    void aListenerThatUsesTheLibraryIsToldInTurn(VfioInterface by) {
        List<String> plain = detachSteps(by, () -> {
        });
        assertThat(plain).hasSizeGreaterThan(4);
        assertThat(detachSteps(by, () -> kvm.checkExtension(1))).isEqualTo(plain);
    }

    private List<String> detachSteps(VfioInterface by, Runnable use) {
        List<String> calls = new ArrayList<>();
        AttachedDevice.request(kernel, ADDRESS).via(by).watch(step -> {
            use.run();
            if (step.isUndo()) {
                calls.add(step.call());
            }
        }).attach(vm).close();
        return calls;
    }

    /** The device is silent before it is closed: a call that comes then is late, and not wrong. */
    @ParameterizedTest
    @EnumSource
    void aLateCallOnAnInterruptIsToldOfTheClose(VfioInterface by) {
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm);
        Interrupt msi = attached.device().interrupt(Interrupt.MSI);
        EventFd fired = root(EventFd.create(kernel));
        msi.enable(fired);
        List<Throwable> thrown = new ArrayList<>();
        kernel.watched = "VFIO_DEVICE_SET_IRQS";
        kernel.after = () -> {
            kernel.watched = "";
            thrown.add(catchThrowable(() -> msi.trigger(0)));
        };
        attached.close();
        assertThat(thrown).singleElement().isInstanceOf(ClosedException.class);
    }

    @Test
    void aCallOnAnInterruptThatTheProgramDisabledIsRefused() {
        Interrupt msi = AttachedDevice.request(kernel, ADDRESS).attach(vm).device().interrupt(Interrupt.MSI);
        msi.enable(root(EventFd.create(kernel)));
        msi.disable();
        assertThatThrownBy(() -> msi.trigger(0)).isInstanceOfSatisfying(KernelException.class,
                refused -> assertThat(refused.errno()).isEqualTo(Errno.EINVAL));
    }

    /** A VM that is closed gives its devices back as they are given back alone. */
    @ParameterizedTest
    @EnumSource
    void devicesFallSilentFirst(VfioInterface by) {
        List<String> alone = callsOfDetach(by, Handle::close);
        assertThat(alone).startsWith("VFIO_DEVICE_SET_IRQS", "KVM_IRQFD");
        assertThat(callsOfDetach(by, attached -> ((AttachedDevice) attached).device().vm().close()))
                .filteredOn(call -> !call.equals("KVM_SET_USER_MEMORY_REGION"))
                .startsWith(alone.stream().filter(call -> !call.equals("KVM_SET_GSI_ROUTING")).toArray(String[]::new));
    }

    private List<String> callsOfDetach(VfioInterface by, Consumer<Handle> detach) {
        try (MockKernel host = MockKernel.example()) {
            Kvm ofHost = Kvm.open(host);
            Vm guest = ofHost.createVm();
            guest.interrupts().createIrqchip();
            HostMemory ram = HostMemory.allocate(host, 1 << 16);
            AttachedDevice attached = AttachedDevice.request(host, ADDRESS).via(by)
                    .attach(GuestMemory.create(guest, 0, ram));
            attached.device().connectMsix(1).program(0, 0xfee0_0000L, 0x41);
            host.clearTrace();
            detach.accept(attached);
            List<String> calls = host.trace().stream().map(SystemCall::name).toList();
            ofHost.close();
            ram.close();
            return calls;
        }
    }

    @Test
    void aBarThatIsRefusedHalfWayIsPlacedTheNextTime() {
        try (MockKernel host = MockKernel.host(KernelProfile.V6_12).device("0000:6a:01.0",
                device -> device.group(26).cdev("vfio0").bar(0, 1 << 17).msix(5, 0, 0x8000)).start();
                Kvm other = Kvm.open(host)) {
            GuestBar bar = AttachedDevice.request(host, ADDRESS).attach(other.createVm()).device().mapBar(0);
            host.failCall("KVM_SET_USER_MEMORY_REGION", 2, Errno.ENOMEM);
            host.failCall("KVM_SET_USER_MEMORY_REGION", 3, Errno.ENOMEM);
            assertThatThrownBy(() -> bar.place(1 << 28)).isInstanceOf(KernelException.class);
            bar.place(1 << 28);
            assertThat(other.openHandles()).filteredOn(MemorySlot.class::isInstance).hasSize(2)
                    .allMatch(Handle::isOpen);
        }
    }

    @Test
    void memoryIsNotMappedIntoAContainerWithoutAGroup() {
        VfioGroup group = VfioGroup.open(PciDevice.find(kernel, ADDRESS).iommuGroup().orElseThrow());
        VfioContainer container = root(VfioContainer.open(group));
        group.close();
        GuestMemory memory = GuestMemory.create(vm, 0, root(HostMemory.allocate(kernel, 1 << 16)));
        assertThatThrownBy(() -> memory.mapInto(container)).isInstanceOf(ClosedException.class);
    }

    @Test
    void anEventFdWhoseFileIsClosedWaitsForItsWaiter() throws Exception {
        EventFd eventFd = EventFd.create(kernel);
        FutureTask<Long> waiting = new FutureTask<>(() -> eventFd.await(Duration.ofSeconds(1)));
        CountDownLatch begun = new CountDownLatch(1);
        kernel.before = begun::countDown;
        kernel.watched = "poll";
        Thread.ofPlatform().daemon().start(waiting);
        await(begun);
        eventFd.fd().close();
        eventFd.close();
        assertThatThrownBy(() -> waiting.get(20, TimeUnit.SECONDS)).hasCauseInstanceOf(ClosedException.class);
    }

    /** A JUnit timeout, or an executor that is shut down, interrupts a thread that closes. */
    @ParameterizedTest
    @EnumSource
    void anInterruptedThreadClosesAll(VfioInterface by) {
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by).attach(vm);
        Thread.currentThread().interrupt();
        attached.close();
        assertThat(Thread.interrupted()).isTrue();
        assertThat(vm.openHandles()).isEmpty();
    }

    private void closeAt(int depth, Handle handle) {
        if (depth > 0) {
            closeAt(depth - 1, handle);
        } else {
            handle.close();
        }
    }

    /** Agrees to everything and takes no lock, which the end of the stack could leave locked. */
    private static final class Agreeing extends ObservedKernel {
        private static final long VCPU_PAGES = Arena.global().allocate(3 << 12, 1 << 12).address();

        private int next = 1 << 20;

        Agreeing() {
            super(Kernel.linux());
        }

        @Override
        protected long call(SystemCall call, LongSupplier made) {
            return switch (call.name()) {
                case "KVM_GET_API_VERSION" -> kvm_h.KVM_API_VERSION();
                case "KVM_GET_VCPU_MMAP_SIZE" -> 3 << 12;
                case "open", "KVM_CREATE_VM", "KVM_CREATE_VCPU" -> next++;
                case "mmap" -> VCPU_PAGES;
                default -> 0;
            };
        }
    }

    /**
     * The next close, with stack enough, finishes, and the thread closes other things as before. What is lost is a file
     * whose close(2) had begun.
     */
    @Test
    @SuppressWarnings("resource")
    void aCloseThatRunsOutOfStackIsFinishedLater() throws Exception {
        Kernel other = new Agreeing();
        Kvm deep = Kvm.open(other);
        HostMemory memory = HostMemory.allocate(other, 1 << 16);
        FutureTask<Integer> overflows = new FutureTask<>(() -> {
            int overflowed = 0;
            for (int depth = 0; overflowed < 100; depth += overflowed == 0 ? 50 : 1) {
                Vm closed = deep.createVm();
                closed.createVcpu(0);
                closed.memory().add(0, memory);
                try {
                    closeAt(depth, closed);
                } catch (StackOverflowError expected) {
                    overflowed++;
                }
                closed.close();
                Vm next = deep.createVm();
                next.close();
                assertThat(next.isOpen()).isFalse();
                assertThat(deep.openHandles()).isEmpty();
                assertThat(memory.openHandles()).isEmpty();
            }
            return overflowed;
        });
        Thread thread = new Thread(null, overflows, "little stack", 256 << 10);
        thread.setDaemon(true);
        thread.start();
        assertThat(overflows.get(60, TimeUnit.SECONDS)).isEqualTo(100);
        deep.close();
        memory.close();
    }
}
