package dev.kvmvfio.it.odd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_dirty_log;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_mp_state;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.KvmDeviceType;
import dev.kvmvfio.kvm.SlotFlag;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Function;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Answers of KVM, of eventfds and of the process's own calls that cannot be. */
@Tag("mock")
@Timeout(5)
class OddKvmTest {
    private static final Duration LONG = Duration.ofDays(1);

    private final MockKernel mock = MockKernel.example();

    @AfterEach
    void nothingIsLeft() {
        mock.close();
    }

    private static <T> T withVm(Kernel kernel, Function<Vm, T> use) {
        try (Kvm kvm = Kvm.open(kernel)) {
            return use.apply(kvm.createVm());
        }
    }

    private static AbstractThrowableAssert<?, ?> assertOdd(Runnable use) {
        return assertThatThrownBy(use::run).isInstanceOf(AnswerException.class);
    }

    private Kernel after(long request, Consumer<MemorySegment> change) {
        return OddKernel.after(mock, request, change);
    }

    /** The first calls of a name, or of an ioctl, fail. */
    private Kernel failing(int times, Errno errno, Object call) {
        AtomicInteger made = new AtomicInteger();
        return OddKernel.of(mock,
                now -> (call instanceof Number request ? now.is(request.longValue()) : now.is((String) call))
                        && made.getAndIncrement() < times ? now.answer(-errno.number()) : now.real());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 100, 2351, Integer.MAX_VALUE})
    void aVcpuOfAnImpossibleSize(int size) {
        Kernel kernel = OddKernel.answering(mock, kvm_h.KVM_GET_VCPU_MMAP_SIZE(), size);
        assertOdd(() -> withVm(kernel, vm -> vm.createVcpu(0))).hasMessageMatching(
                "KVM_GET_VCPU_MMAP_SIZE on /dev/kvm .* answered " + size + " bytes, which is not 2352 to 1048576");
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, Integer.MIN_VALUE})
    void aDeviceThatIsNoFile(int number) {
        Kernel kernel = OddKernel.of(mock, call -> {
            if (call.is(kvm_h.KVM_CREATE_DEVICE())) {
                kvm_create_device.fd(call.struct(), number);
                return 0;
            }
            return call.real();
        });
        assertOdd(() -> withVm(kernel, vm -> vm.createDevice(KvmDeviceType.VFIO)))
                .hasMessageMatching("KVM_CREATE_DEVICE on VM .* answered " + number + " as the device's file");
    }

    /** Else the library would take file 0 for it, and close that. */
    @Test
    void aDeviceOfWhichTheKernelSaysNothing() {
        assertOdd(() -> withVm(OddKernel.answering(mock, kvm_h.KVM_CREATE_DEVICE(), 0),
                vm -> vm.createDevice(KvmDeviceType.VFIO))).hasMessageContaining("answered -1 as the device's file");
    }

    @Test
    void fileZeroIsAFileLikeAnother() {
        AtomicInteger number = new AtomicInteger(-1);
        Kernel kernel = OddKernel.of(mock, call -> {
            if (call.is("open") && call.argument(0).equals(Kvm.PATH)) {
                number.set((int) call.real());
                return 0;
            }
            call.renameFile(0, number.get());
            return call.real();
        });
        try (Kvm kvm = Kvm.open(kernel)) {
            assertThat(kvm.fd().number()).isZero();
            assertThat(kvm.createVm().createVcpu(0).isOpen()).isTrue();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, -1, 129})
    void moreCpuidEntriesThanThereIsRoomFor(int count) {
        Kernel kernel = after(kvm_x86_64_h.KVM_GET_SUPPORTED_CPUID(), cpuid -> kvm_cpuid2.nent(cpuid, count));
        assertOdd(() -> cpuid(kernel)).hasMessageMatching("KVM_GET_SUPPORTED_CPUID on /dev/kvm .* answered "
                + Integer.toUnsignedString(count) + " entries, more than the 128 that there can be");
    }

    @Test
    void tooLittleRoomForCpuidTwiceAndAlways() {
        assertThat(cpuid(failing(2, Errno.E2BIG, kvm_x86_64_h.KVM_GET_SUPPORTED_CPUID()))).isEqualTo(cpuid(mock));
        assertThatThrownBy(() -> cpuid(failing(Integer.MAX_VALUE, Errno.E2BIG, kvm_x86_64_h.KVM_GET_SUPPORTED_CPUID())))
                .isInstanceOf(KernelException.class).hasMessageContaining("nent=65536").hasMessageContaining("E2BIG");
    }

    private static Object cpuid(Kernel kernel) {
        try (Kvm kvm = Kvm.open(kernel)) {
            return kvm.x86().supportedCpuid();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {77, -1})
    void aStateThatIsNotKnown(int number) {
        Kernel kernel = after(kvm_h.KVM_GET_MP_STATE(), state -> kvm_mp_state.mp_state(state, number));
        assertOdd(() -> withVm(kernel, vm -> vm.createVcpu(0).mpState())).hasMessageMatching(
                "KVM_GET_MP_STATE on vCPU 0 .* answered a state of " + number + ", which this library does not know");
    }

    @Test
    @SuppressWarnings("restricted")
    void aPageThatTheSlotHasNot() {
        Kernel kernel = after(kvm_h.KVM_GET_DIRTY_LOG(),
                log -> kvm_dirty_log.dirty_bitmap(log).reinterpret(Long.BYTES).set(ValueLayout.JAVA_LONG, 0, 1 << 4));
        try (HostMemory memory = HostMemory.allocate(kernel, 4 << 12)) {
            assertOdd(() -> withVm(kernel, vm -> vm.memory().add(0, memory, SlotFlag.DIRTY_LOG).dirtyLog()))
                    .hasMessageMatching("KVM_GET_DIRTY_LOG on memory slot 0 .* answered page 4 of 4 as written");
        }
    }

    /** What a run answers that leaves for a reason. */
    private VcpuExit run(int reason, Consumer<MemorySegment> fill) {
        MemorySegment[] shared = new MemorySegment[1];
        Kernel kernel = OddKernel.of(mock, call -> {
            if (!call.is(kvm_h.KVM_RUN())) {
                return call.real();
            }
            kvm_run.exit_reason(shared[0], reason);
            fill.accept(shared[0]);
            return 0;
        });
        return withVm(kernel, vm -> {
            Vcpu vcpu = vm.createVcpu(0);
            shared[0] = vcpu.kvmRun();
            VcpuExit exit = vcpu.run();
            assertThat(exit.toString()).isNotEmpty();
            return exit;
        });
    }

    private VcpuExit port(int size, int count, long offset) {
        return run(kvm_h.KVM_EXIT_IO(), run -> {
            MemorySegment io = kvm_run.io(run);
            kvm_run.io.size(io, (byte) size);
            kvm_run.io.count(io, count);
            kvm_run.io.data_offset(io, offset);
        });
    }

    @ParameterizedTest
    @CsvSource({"0,1,4096", "3,1,4096", "8,1,4096", "-1,1,4096", "1,0,4096", "1,2147483647,4096", "1,-1,4096",
        "4,2147483647,4096", "0,-1,4096", "1,1,-1", "1,1,9223372036854775807", "4,1,1048576", "4,2049,4096"})
    void aPortsExitThatCannotBe(int size, int count, long offset) {
        assertOdd(() -> port(size, count, offset)).hasMessageMatching("KVM_RUN on vCPU 0 .* answered KVM_EXIT_IO with "
                + Integer.toUnsignedString(count) + " values of " + size + " bytes at offset 0x"
                + Long.toHexString(offset)
                + ", which no guest can do");
    }

    @Test
    void aPortsExitThatCanBe() {
        assertThat(port(4, 1024, 4096)).isInstanceOf(VcpuExit.PortRead.class);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 9, Integer.MAX_VALUE, -1})
    void anAddressesExitThatCannotBe(int size) {
        assertOdd(() -> run(kvm_h.KVM_EXIT_MMIO(), run -> kvm_run.mmio.len(kvm_run.mmio(run), size)))
                .hasMessageMatching("KVM_RUN on vCPU 0 .* answered KVM_EXIT_MMIO with " + size
                        + ", which no guest can do");
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, -1, 17})
    void moreDataThanAnExitHasRoomFor(int count) {
        assertThat(run(kvm_h.KVM_EXIT_INTERNAL_ERROR(),
                run -> kvm_run.internal.ndata(kvm_run.internal(run), count)))
                .isInstanceOf(VcpuExit.InternalError.class);
        assertThat(run(kvm_h.KVM_EXIT_SYSTEM_EVENT(),
                run -> kvm_run.system_event.ndata(kvm_run.system_event(run), count)))
                .isInstanceOf(VcpuExit.SystemEvent.class);
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, -1, 10_000})
    void aReasonThatIsNotKnown(int reason) {
        assertThat(run(reason, _ -> {
        })).isInstanceOf(VcpuExit.UnknownExit.class);
    }

    @ParameterizedTest
    @EnumSource(names = {"EINTR", "EAGAIN"})
    void aRunThatBeginsAgainSomeTimesAndAlways(Errno errno) {
        AtomicInteger runs = new AtomicInteger();
        Kernel few = OddKernel.of(mock, call -> call.is(kvm_h.KVM_RUN())
                ? (Object) (runs.getAndIncrement() < 100 ? -errno.number() : 0)
                : call.real());
        String exit = withVm(few, vm -> vm.createVcpu(0).run().toString());
        assertThat(exit).startsWith("exit 0");
        assertThat(runs).hasValue(101);
        Kernel always = OddKernel.answering(mock, kvm_h.KVM_RUN(), -errno.number());
        assertThatThrownBy(() -> withVm(always, vm -> vm.createVcpu(0).run())).isInstanceOf(KernelException.class)
                .hasMessageMatching("KVM_RUN on vCPU 0 .*: " + errno + " .*");
    }

    @Test
    void aVmThatIsInterruptedSomeTimesAndAlways() {
        assertThat(withVm(failing(3, Errno.EINTR, kvm_h.KVM_CREATE_VM()), Vm::isOpen)).isTrue();
        assertThatThrownBy(() -> withVm(failing(Integer.MAX_VALUE, Errno.EINTR, kvm_h.KVM_CREATE_VM()), Vm::isOpen))
                .isInstanceOf(KernelException.class).hasMessageMatching("KVM_CREATE_VM on /dev/kvm .*: EINTR .*");
    }

    private static long await(Kernel kernel) {
        try (EventFd eventFd = EventFd.create(kernel)) {
            eventFd.signal();
            return eventFd.await(LONG);
        }
    }

    @Test
    void aWaitThatIsInterruptedSomeTimesAndAlways() {
        assertThat(await(failing(100, Errno.EINTR, "poll"))).isEqualTo(1);
        assertThatThrownBy(() -> await(failing(Integer.MAX_VALUE, Errno.EINTR, "poll")))
                .isInstanceOf(KernelException.class).hasMessageMatching("poll on eventfd .*: EINTR .*");
    }

    @Test
    void aWaitForNothing() {
        Kernel kernel = failing(Integer.MAX_VALUE, Errno.EAGAIN, "read");
        assertOdd(() -> await(kernel))
                .hasMessageMatching("poll on eventfd .* answered 0x1, and there is nothing to read");
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 4, 16, 1L << 40})
    void aCounterOfAnotherSize(long transferred) {
        Kernel reads = OddKernel.of(mock, call -> call.is("read") ? (Object) transferred : call.real());
        assertOdd(() -> await(reads)).hasMessageMatching(
                "read on eventfd .* answered " + transferred + " for the 8 bytes of the counter");
        Kernel writes = OddKernel.of(mock, call -> call.is("write") ? (Object) transferred : call.real());
        assertOdd(() -> await(writes)).hasMessageMatching(
                "write on eventfd .* answered " + transferred + " for the 8 bytes of the counter");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -4096, 100})
    void pagesOfAnImpossibleSize(int size) {
        Kernel kernel = OddKernel.of(mock, call -> call.is("pageSize") ? (Object) size : call.real());
        assertOdd(() -> HostMemory.allocate(kernel, 4096))
                .hasMessage("getpagesize on this process answered " + size + ", which is no power of two");
    }
}
