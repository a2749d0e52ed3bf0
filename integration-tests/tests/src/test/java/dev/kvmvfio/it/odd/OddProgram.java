package dev.kvmvfio.it.odd;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
import dev.kvmvfio.dma.DmaAccess;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.IoAddress;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.KvmDeviceType;
import dev.kvmvfio.kvm.SlotFlag;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.HostCheck;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.GuestBar;
import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.IntxLine;
import dev.kvmvfio.vfio.MsiVectors;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.RegionMapping;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** A program that does all that there is to do, from the look at the host to the last close. */
final class OddProgram {
    private static final PciAddress ADDRESS = PciAddress.parse("0000:6a:01.0");
    private static final PciAddress UNBOUND = PciAddress.parse("0000:6d:00.0");
    private static final long MSI = 0xfee0_0000L;
    private static final long PAGE = 4096;
    private static final long FAR = 1L << 40;

    private final MockKernel mock;
    private final Kernel kernel;
    private final VfioInterface by;
    private final boolean runsGuest;
    private final OddAnswers answers;
    private final List<Handle> opened = new ArrayList<>();

    OddProgram(MockKernel mock, Kernel kernel, VfioInterface by, boolean runsGuest, OddAnswers answers) {
        this.mock = mock;
        this.kernel = kernel;
        this.by = by;
        this.runsGuest = runsGuest;
        this.answers = answers;
    }

    /** What it had open in the end, the oldest first. */
    List<Handle> opened() {
        return opened;
    }

    private <H extends Handle> H keep(H handle) {
        opened.add(handle);
        return handle;
    }

    void run() {
        Kvm kvm = keep(Kvm.open(kernel));
        Vm vm = kvm.createVm();
        vm.interrupts().createIrqchip();
        HostMemory ram = keep(HostMemory.allocate(kernel, 16 * PAGE));
        GuestMemory memory = GuestMemory.create(vm, 0, ram);
        Vcpu vcpu = vm.createVcpu(0);
        answers.share(vcpu.kvmRun());
        setUp(kvm, vcpu);
        interrupt(vm);
        AttachedDevice attached = AttachedDevice.request(kernel, ADDRESS).via(by).attach(memory);
        memoryOf(memory, attached);
        look(attached.device());
        bars(attached.device());
        interruptsOf(attached.device());
        enter(vm, vcpu);
        attached.close();
        vm.close();
        kvm.close();
    }

    void lookAtHost() {
        Candidate.list(kernel).forEach(Candidate::toString);
        HostCheck.run(kernel, 1 << 26);
        PciDevice device = PciDevice.find(kernel, ADDRESS);
        device.vfioDeviceNumber();
        device.iommuGroup().ifPresent(group -> group.describe());
        DriverBinding before = DriverBinding.bind(PciDevice.find(kernel, UNBOUND), "vfio-pci");
        before.restore();
    }

    private static void setUp(Kvm kvm, Vcpu vcpu) {
        vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
        vcpu.x86().updateSregs(sregs -> kvm_sregs.cr8(sregs, 0));
        vcpu.x86().updateRegs(regs -> kvm_regs.rbx(regs, 7));
        vcpu.x86().setMsr(0x174, vcpu.x86().msr(0x174));
        vcpu.mpState();
        vcpu.hasAttr(0, 0);
    }

    private void interrupt(Vm vm) {
        vm.supports(KvmDeviceType.VFIO);
        EventFd trigger = keep(EventFd.create(kernel));
        EventFd resample = keep(EventFd.create(kernel));
        vm.interrupts().addIrqFd(trigger, 5, resample).close();
        vm.addIoEventFd(resample, IoAddress.mmio(FAR), 4).close();
        vm.interrupts().routes().addMsi(MSI, 0x40).setMessage(MSI, 0x41);
        vm.interrupts().setLine(4, true);
        trigger.signal();
        trigger.await(Duration.ofMillis(1));
        trigger.close();
    }

    private void memoryOf(GuestMemory memory, AttachedDevice attached) {
        HostMemory more = keep(HostMemory.request(kernel, 4 * PAGE).memfd("more").allocate());
        GuestMemory.Block block = memory.add(1 << 20, more, SlotFlag.DIRTY_LOG);
        block.slot().dirtyLog();
        block.close();
        attached.dmaSpace().iovaRanges();
        attached.dmaSpace().map(1 << 30, more).close();
        if (attached.dmaSpace() instanceof Ioas ioas) {
            ioas.map(more, DmaAccess.READ);
        }
        more.close();
    }

    private static void look(GuestDevice device) {
        device.configSpace().toString();
        device.msixTable();
        device.vendorId();
        device.regions().toString();
        device.interrupts().toString();
        if (device.canReset()) {
            device.reset();
        }
    }

    /** A size that cannot be mapped, or placed, is looked at first, as a careful program does. */
    private static void bars(GuestDevice device) {
        for (Region region : device.regions()) {
            if (region.index() >= Region.ROM || region.size() < PAGE || !region.isReadable()) {
                continue;
            }
            region.readLong(0);
            region.writeInt(8, 1);
            if (region.isMappable()) {
                RegionMapping mapping = region.map(0, PAGE);
                mapping.close();
            }
            GuestBar bar = device.mapBar(region.index());
            bar.mappedAreas();
            bar.trappedAreas();
            if ((FAR & region.size() - 1) == 0) {
                bar.place(FAR);
                bar.remove();
            }
        }
    }

    private void interruptsOf(GuestDevice device) {
        for (Interrupt interrupt : device.interrupts()) {
            if (interrupt.count() > 0 && interrupt.index() == Interrupt.MSIX) {
                MsiVectors vectors = device.connectMsix(Math.min(2, interrupt.count()));
                vectors.program(0, MSI, 0x42);
                vectors.mask(0);
                vectors.isPending(0);
                vectors.unmask(0);
                vectors.close();
            } else if (interrupt.count() > 0 && interrupt.index() == Interrupt.INTX) {
                IntxLine line = device.connectIntx(10);
                line.close();
            } else if (interrupt.count() > 0) {
                EventFd eventFd = keep(EventFd.create(kernel));
                interrupt.enable(eventFd);
                interrupt.setVector(0, eventFd);
                interrupt.disable();
            }
        }
    }

    private void enter(Vm vm, Vcpu vcpu) {
        if (!runsGuest || !program(vm)) {
            return;
        }
        for (int i = 0; i < 6; i++) {
            handle(vcpu.run());
        }
        vcpu.kick();
        handle(vcpu.run());
    }

    /** Without a program nothing can be run; the other kernel may know the VM by another number. */
    private boolean program(Vm vm) {
        try {
            mock.guest(vm.fd().number()).program(0, cpu -> {
                // More than a run that is answered with EINTR for ever begins: a guest that halts is not ended by that.
                for (int i = 0; i < 1 << 16; i++) {
                    cpu.out(0x3f8, 1, 'x');
                    cpu.in(0x3f8, 4);
                    cpu.write(FAR, 8, i);
                    cpu.read(FAR, 2);
                }
            });
            return true;
        } catch (IllegalArgumentException unknown) {
            return false;
        }
    }

    private static void handle(VcpuExit exit) {
        exit.toString();
        switch (exit) {
            case VcpuExit.PortRead read -> read.answer(1);
            case VcpuExit.PortWrite write -> each(write.count(), write::value);
            case VcpuExit.MmioRead read -> read.answer(2);
            case VcpuExit.MmioWrite write -> write.value();
            case VcpuExit.InternalError error -> each(error.dataCount(), error::data);
            case VcpuExit.SystemEvent event -> each(event.dataCount(), event::data);
            default -> {
            }
        }
    }

    private static void each(int count, Consumer<Integer> value) {
        for (int i = 0; i < count; i++) {
            value.accept(i);
        }
    }
}
