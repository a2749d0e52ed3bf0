package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.KvmDevice;
import dev.kvmvfio.kvm.KvmDeviceType;
import dev.kvmvfio.kvm.KvmFile;
import dev.kvmvfio.kvm.MemorySlot;
import dev.kvmvfio.kvm.SlotFlag;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.vfio.KvmVfioDevice;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Proxy;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The machine's own KVM, on x86-64. */
@Tag("kvm")
class RealKvmTest {
    private static final long PAGE = 4096;
    private static final int FILE = kvm_h.KVM_DEV_VFIO_FILE();
    private static final int FILE_ADD = kvm_h.KVM_DEV_VFIO_FILE_ADD();
    private static final int FILE_DEL = kvm_h.KVM_DEV_VFIO_FILE_DEL();
    private static final int NOT_OPEN = 1_000_000;

    private final List<String> heldBefore = HeldFiles.now();
    private final WatchedKernel kernel = new WatchedKernel(Kernel.linux());
    private final Kvm kvm = Kvm.open(kernel);
    private final Vm vm = kvm.createVm();

    @AfterEach
    void nothingIsLeft() {
        kvm.close();
        assertThat(HeldFiles.now()).isEqualTo(heldBefore);
    }

    private static void assertRefused(Errno errno, String message, ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOfSatisfying(KernelException.class,
                refused -> assertThat(refused.errno()).as(refused.getMessage()).isEqualTo(errno))
                .hasMessageContaining(message);
    }

    private static void assertClosed(ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOf(IllegalStateException.class).hasMessageEndingWith("is closed");
    }

    private HostMemory memory(int pages) {
        return HostMemory.allocate(kernel, pages * PAGE);
    }

    @Test
    void speaksVersion12() {
        assertThat(kvm.apiVersion()).isEqualTo(12);
    }

    @Test
    void tellsItsExtensions() {
        assertThat(kvm.checkExtension(kvm_h.KVM_CAP_DEVICE_CTRL())).isEqualTo(1);
        assertThat(vm.checkExtension(kvm_h.KVM_CAP_DEVICE_CTRL())).isEqualTo(1);
        assertThat(vm.checkExtension(kvm_h.KVM_CAP_NR_MEMSLOTS())).isGreaterThan(100);
        assertThat(kvm.checkExtension(1 << 20)).isZero();
        assertThat(vm.checkExtension(1 << 20)).isZero();
    }

    @Test
    void openingWithoutPermissionSaysWhatToDo() {
        kernel.refuse(0, Errno.EACCES);
        assertRefused(Errno.EACCES, "open on /dev/kvm: EACCES (Permission denied). Give the user access to the node",
                () -> Kvm.open(kernel));
    }

    @Test
    void anotherFileInItsPlaceIsNotKvm() {
        Kernel misled = (Kernel) Proxy.newProxyInstance(Kernel.class.getClassLoader(), new Class<?>[]{Kernel.class},
                (_, method, arguments) -> method.invoke(kernel, method.getName().equals("open")
                        ? new Object[]{"/dev/null", arguments[1]}
                        : arguments));
        assertRefused(Errno.ENOTTY, "KVM_GET_API_VERSION on /dev/kvm", () -> Kvm.open(misled));
        assertThat(kernel.calls()).last().isEqualTo("close /dev/null");
    }

    @Test
    void refusesAMachineThatItDoesNotHave() {
        assertRefused(Errno.EINVAL, "KVM_CREATE_VM on /dev/kvm", () -> kvm.createVm(0x1234));
    }

    @Test
    void createsVcpus() {
        assertThat(vm.createVcpu(0).id()).isZero();
        assertThat(vm.createVcpu(1).id()).isEqualTo(1);
        assertThat(HeldFiles.now()).contains("anon_inode:kvm-vcpu:0", "anon_inode:kvm-vcpu:1");
        assertRefused(Errno.EEXIST, "{id=1}", () -> vm.createVcpu(1));
        assertRefused(Errno.EINVAL, "{id=-1}", () -> vm.createVcpu(-1));
    }

    @Test
    void askingForADeviceOpensNothing() {
        List<String> before = HeldFiles.now();
        assertThat(vm.supports(KvmDeviceType.VFIO)).isTrue();
        assertThat(vm.supports(KvmDeviceType.ARM_VGIC_V3)).isFalse();
        assertThat(HeldFiles.now()).isEqualTo(before);
        vm.createDevice(KvmDeviceType.VFIO);
        assertThat(vm.supports(KvmDeviceType.VFIO)).isTrue();
    }

    @Test
    void aVmHasOneVfioDeviceAtATime() {
        KvmVfioDevice first = KvmVfioDevice.create(vm);
        assertThat(HeldFiles.now()).contains("anon_inode:kvm-vfio");
        assertRefused(Errno.EBUSY, "This VM has one already and cannot have a second", () -> KvmVfioDevice.create(vm));
        KvmVfioDevice.create(kvm.createVm());
        first.close();
        assertThat(KvmVfioDevice.create(vm).isOpen()).isTrue();
    }

    @Test
    void refusesADeviceOfAnotherArchitecture() {
        assertRefused(Errno.ENODEV, "type=ARM_VGIC_V3", () -> vm.createDevice(KvmDeviceType.ARM_VGIC_V3));
    }

    @ParameterizedTest
    @CsvSource({"1, 1, true", "1, 2, true", "1, 3, false", "1, 0, false", "1, 4294967297, false", "0, 1, false",
        "2, 1, false"})
    void theVfioDeviceHasTwoAttributes(int group, long attribute, boolean has) {
        assertThat(vm.createDevice(KvmDeviceType.VFIO).hasAttr(group, attribute)).isEqualTo(has);
    }

    @Test
    void theVfioDeviceTakesFilesOnly() {
        KvmDevice device = vm.createDevice(KvmDeviceType.VFIO);
        try (EventFd eventFd = EventFd.create(kernel); Arena arena = Arena.ofConfined()) {
            MemorySegment open = arena.allocateFrom(ValueLayout.JAVA_INT, eventFd.fd().number());
            MemorySegment notOpen = arena.allocateFrom(ValueLayout.JAVA_INT, NOT_OPEN);
            MemorySegment nowhere = MemorySegment.ofAddress(16);
            assertThat(Errno.of(-device.trySetAttr(FILE, FILE_ADD, open))).isEqualTo(Errno.EINVAL);
            assertThat(Errno.of(-device.trySetAttr(FILE, FILE_ADD, notOpen))).isEqualTo(Errno.EBADF);
            assertThat(Errno.of(-device.trySetAttr(FILE, FILE_ADD, nowhere))).isEqualTo(Errno.EFAULT);
            assertThat(Errno.of(-device.trySetAttr(FILE, FILE_DEL, open))).isEqualTo(Errno.ENOENT);
            assertThat(Errno.of(-device.trySetAttr(FILE, FILE_DEL, notOpen))).isEqualTo(Errno.EBADF);
            assertThat(Errno.of(-device.trySetAttr(FILE, 3, open))).isEqualTo(Errno.ENXIO);
            assertThat(Errno.of(-device.trySetAttr(FILE + 1, FILE_ADD, open))).isEqualTo(Errno.ENXIO);
            assertRefused(Errno.EINVAL, "KVM_SET_DEVICE_ATTR on " + device + " {group=1, attr=1}",
                    () -> device.setAttr(FILE, FILE_ADD, open));
            assertRefused(Errno.EPERM, "KVM_GET_DEVICE_ATTR on " + device + " {group=1, attr=1}",
                    () -> device.attr(FILE, FILE_ADD, nowhere));
        }
    }

    @Test
    void anAttributeOfAVcpuIsSetAndGot() {
        Vcpu vcpu = vm.createVcpu(0);
        int group = kvm_x86_64_h.KVM_VCPU_TSC_CTRL();
        int offset = kvm_x86_64_h.KVM_VCPU_TSC_OFFSET();
        assertThat(vcpu.hasAttr(group, offset)).isTrue();
        assertThat(vcpu.hasAttr(group, offset + 1)).isFalse();
        try (Arena arena = Arena.ofConfined()) {
            // Zero, because a KVM without hardware virtualisation behind it keeps no other offset.
            vcpu.setAttr(group, offset, arena.allocateFrom(ValueLayout.JAVA_LONG, 0));
            MemorySegment got = arena.allocateFrom(ValueLayout.JAVA_LONG, -1);
            vcpu.attr(group, offset, got);
            assertThat(got.get(ValueLayout.JAVA_LONG, 0)).isZero();
            MemorySegment nowhere = MemorySegment.ofAddress(16);
            assertRefused(Errno.EFAULT, "{group=0, attr=0}", () -> vcpu.setAttr(group, offset, nowhere));
            assertRefused(Errno.ENXIO, "{group=0, attr=1}", () -> vcpu.attr(group, offset + 1, got));
        }
    }

    @Test
    void aVmHasNoAttributesHere() {
        assertThat(vm.hasAttr(0, 0)).isFalse();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_LONG);
            assertRefused(Errno.ENOTTY, "KVM_SET_DEVICE_ATTR on VM", () -> vm.setAttr(0, 0, value));
            assertRefused(Errno.ENOTTY, "KVM_GET_DEVICE_ATTR on VM", () -> vm.attr(0, 0, value));
        }
    }

    /** Its address means nothing to the kernel. */
    @Test
    void anAttributesValueIsNativeMemory() {
        MemorySegment onTheHeap = MemorySegment.ofArray(new long[1]);
        for (KvmFile file : List.of(vm, vm.createVcpu(0), vm.createDevice(KvmDeviceType.VFIO))) {
            kernel.refuse(-1, null);
            assertThatThrownBy(() -> file.setAttr(0, 0, onTheHeap)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> file.attr(0, 0, onTheHeap)).isInstanceOf(IllegalArgumentException.class);
            assertThat(kernel.calls()).isEmpty();
        }
    }

    @Test
    void aSlotThatOverlapsAnotherIsRefusedByName() {
        try (HostMemory ram = memory(4); HostMemory more = memory(4); MemorySlot slot = vm.memory().add(0, ram)) {
            assertRefused(Errno.EEXIST, "It overlaps [" + slot + "]", () -> vm.memory().add(3 * PAGE, more));
            assertRefused(Errno.EEXIST, "{slot=1, guest_phys_addr=0x3000, memory_size=0x4000, flags=[]}",
                    () -> vm.memory().add(3 * PAGE, more));
            assertThat(slot).hasToString("memory slot 0 of " + vm + ", 0x4000 bytes at 0x0");
            MemorySlot next = vm.memory().add(4 * PAGE, more);
            assertThat(next.number()).isEqualTo(1);
            next.close();
        }
    }

    @Test
    void whatIsMisalignedDoesNotReachTheKernel() {
        try (HostMemory ram = memory(4)) {
            kernel.refuse(-1, null);
            List<ThrowingCallable> misaligned = List.of(() -> vm.memory().add(1, ram),
                    () -> vm.memory().add(0, ram, 8, PAGE), () -> vm.memory().add(0, ram, 0, PAGE + 1),
                    () -> vm.memory().add(0, ram, 0, 0), () -> vm.memory().add(0, ram, PAGE, 4 * PAGE),
                    () -> vm.memory().add(0, ram, -PAGE, PAGE));
            misaligned.forEach(call -> assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class));
            assertThatThrownBy(() -> vm.memory().add(0xfff, ram))
                    .hasMessage("guest-physical address 0xfff is not a multiple of the page size 0x1000");
            assertThat(kernel.calls()).isEmpty();
        }
    }

    @Test
    void aRefusedSlotTakesNoNumber() {
        try (HostMemory ram = memory(1)) {
            assertRefused(Errno.EINVAL, "guest_phys_addr=0xfffffffffffff000", () -> vm.memory().add(-PAGE, ram));
            try (MemorySlot slot = vm.memory().add(0, ram, 0, PAGE, SlotFlag.READ_ONLY)) {
                assertThat(slot.number()).isZero();
            }
        }
    }

    @Test
    void aClosedSlotsNumberAndAddressesAreFree() {
        try (HostMemory ram = memory(3)) {
            MemorySlot first = vm.memory().add(0, ram, 0, PAGE);
            MemorySlot second = vm.memory().add(PAGE, ram, PAGE, PAGE);
            first.close();
            first.close();
            MemorySlot again = vm.memory().add(0, ram, 2 * PAGE, PAGE);
            assertThat(again.number()).isEqualTo(first.number()).isZero();
            assertThat(second.number()).isEqualTo(1);
            assertThat(again.memory()).isSameAs(ram);
            again.close();
            second.close();
        }
    }

    @Test
    void closedMemoryTakesItsSlotsAlong() {
        HostMemory ram = memory(1);
        Vm other = kvm.createVm();
        MemorySlot slot = vm.memory().add(0, ram);
        MemorySlot ofOther = other.memory().add(PAGE, ram);
        ram.close();
        assertThat(List.of(slot, ofOther, ram)).noneMatch(handle -> handle.isOpen());
        try (HostMemory next = memory(1)) {
            assertThat(vm.memory().add(0, next).number()).isEqualTo(slot.number());
            assertThat(other.memory().add(PAGE, next).number()).isEqualTo(ofOther.number());
        }
    }

    @Test
    void aClosedVmTakesEverythingWithIt() {
        HostMemory ram = memory(1);
        MemorySlot slot = vm.memory().add(0, ram);
        Vcpu vcpu = vm.createVcpu(0);
        KvmVfioDevice device = KvmVfioDevice.create(vm);
        vm.close();
        assertThat(List.of(slot, vcpu, device)).noneMatch(handle -> handle.isOpen());
        assertThat(HeldFiles.now()).noneMatch(name -> name.contains("kvm-"));
        assertThat(ram.isOpen()).isTrue();
        ram.close();
        List.of(device, vcpu, slot, vm).forEach(handle -> handle.close());
    }

    /** The kernel keeps the VM for as long as one of its files is open. */
    @Test
    void aDeviceOutlivesTheFileOfItsVm() {
        KvmDevice device = vm.createDevice(KvmDeviceType.VFIO);
        vm.fd().close();
        assertThat(HeldFiles.now()).doesNotContain("anon_inode:kvm-vm").contains("anon_inode:kvm-vfio");
        assertThat(device.hasAttr(FILE, FILE_ADD)).isTrue();
        device.close();
        assertThat(HeldFiles.now()).noneMatch(name -> name.contains("kvm-"));
    }

    @Test
    void closedHandlesThrow() {
        HostMemory ram = memory(1);
        Vcpu vcpu = vm.createVcpu(0);
        KvmDevice device = vm.createDevice(KvmDeviceType.VFIO);
        kvm.close();
        int reused = kernel.open("/dev/null", system_h.O_RDWR() | system_h.O_CLOEXEC());
        kernel.refuse(-1, null);
        assertClosed(kvm::apiVersion);
        assertClosed(kvm::createVm);
        assertClosed(() -> kvm.checkExtension(0));
        assertClosed(() -> vm.checkExtension(0));
        assertClosed(() -> vm.createVcpu(1));
        assertClosed(() -> vm.supports(KvmDeviceType.VFIO));
        assertClosed(() -> vm.createDevice(KvmDeviceType.VFIO));
        assertClosed(() -> KvmVfioDevice.create(vm));
        assertClosed(() -> vm.memory().add(0, ram));
        assertClosed(() -> vcpu.hasAttr(0, 0));
        assertClosed(() -> device.hasAttr(FILE, FILE_ADD));
        assertClosed(() -> device.trySetAttr(FILE, FILE_ADD, ram.segment()));
        assertThat(kernel.calls()).isEmpty();
        kernel.close(reused);
        ram.close();
    }

    @Test
    void closedMemoryIsGivenToNoGuest() {
        HostMemory ram = memory(1);
        ram.close();
        kernel.refuse(-1, null);
        assertClosed(() -> vm.memory().add(0, ram));
        assertThat(kernel.calls()).isEmpty();
    }

    @Test
    void aHundredVmsLeaveNothing() {
        List<String> before = HeldFiles.now();
        for (int i = 0; i < 100; i++) {
            Vm another = kvm.createVm();
            KvmVfioDevice.create(another);
            another.close();
        }
        assertThat(HeldFiles.now()).isEqualTo(before);
    }
}
