package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_irq_level;
import dev.kvmvfio.bindings.kvm.kvm_msi;
import dev.kvmvfio.internal.ArchitectureAccess;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.x86.X86Vm;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * How a virtual machine is interrupted: controllers in the kernel, lines, messages, irqfds and the table of routes:
 * {@link Vm#interrupts()}.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class VmInterrupts {
    private static final Ioctl CREATE_IRQCHIP = new Ioctl("KVM_CREATE_IRQCHIP", kvm_h.KVM_CREATE_IRQCHIP());
    private static final Ioctl IRQ_LINE = new Ioctl("KVM_IRQ_LINE", kvm_h.KVM_IRQ_LINE());
    private static final Ioctl SIGNAL_MSI = new Ioctl("KVM_SIGNAL_MSI", kvm_h.KVM_SIGNAL_MSI());

    private final Vm vm;
    private final GsiRoutes routes;

    VmInterrupts(Vm vm) {
        this.vm = vm;
        this.routes = new GsiRoutes(vm);
    }

    /**
     * {@code KVM_CREATE_IRQCHIP}: lets the kernel model the interrupt controllers, on x86-64 a PIC, an IO-APIC and each
     * vCPU's local APIC. It must come before the first vCPU.
     *
     * @throws KernelException when the kernel refuses
     */
    public void createIrqchip() {
        int result = vm.fd().ioctl(CREATE_IRQCHIP, 0);
        if (result < 0) {
            throw new KernelException(CREATE_IRQCHIP.name(), vm.fd(), "", result, irqchipRemedy(result));
        }
        routes.start(ArchitectureAccess.x86().irqchipRoutes());
    }

    private static String irqchipRemedy(int result) {
        return switch (Errno.of(-result)) {
            case EEXIST, EINVAL -> "It can be made once, and before the first vCPU";
            case ENOTTY ->
                "This kernel was built without CONFIG_KVM_IOAPIC: call createSplitIrqchip, and model the PIC "
                        + "and the IO-APIC in the program";
            case ENODEV -> "This processor has none that KVM makes this way: create a device such as "
                    + KvmDeviceType.ARM_VGIC_V3;
            default -> "";
        };
    }

    /**
     * {@code KVM_IRQ_LINE}: raises or lowers an interrupt's line. A level-triggered interrupt stays until it is lowered;
     * an edge-triggered one comes when its line rises.
     *
     * @param gsi the global system interrupt
     * @param level whether the line is high
     * @throws KernelException when the kernel refuses
     */
    public void setLine(int gsi, boolean level) {
        MemorySegment line = kvm_irq_level.allocate(Scratch.begin());
        kvm_irq_level.irq(line, gsi);
        kvm_irq_level.level(line, level ? 1 : 0);
        int result = vm.fd().ioctl(IRQ_LINE, line);
        if (result < 0) {
            throw new KernelException(IRQ_LINE.name(), vm.fd(), "irq=" + gsi + ", level=" + level, result,
                    Errno.ENXIO.is(result)
                            ? "The VM has no interrupt controller in the kernel: call createIrqchip first"
                            : "");
        }
    }

    /**
     * {@code KVM_SIGNAL_MSI}: interrupts the guest by a message without a route. Needs Linux 3.5.
     *
     * @param address where the message goes, as the guest programs it into a device
     * @param data what the message says
     * @return how many vCPUs took it; 0 when the one that is meant has its local APIC switched off, or there is no such
     *         one
     * @throws KernelException when the kernel refuses
     */
    public int signalMsi(long address, int data) {
        MemorySegment msi = kvm_msi.allocate(Scratch.begin());
        kvm_msi.address_lo(msi, (int) address);
        kvm_msi.address_hi(msi, (int) (address >>> Integer.SIZE));
        kvm_msi.data(msi, data);
        int result = vm.fd().ioctl(SIGNAL_MSI, msi);
        if (result < 0) {
            throw new KernelException(SIGNAL_MSI.name(), vm.fd(),
                    String.format("address=0x%x, data=0x%x", address, data),
                    result, switch (Errno.of(-result)) {
                        case EINVAL -> "The VM has no interrupt controller in the kernel: call createIrqchip first";
                        case EPERM -> "The VM has no vCPU that could take it";
                        default -> "";
                    });
        }
        return result;
    }

    /**
     * The table of this VM's interrupts.
     *
     * @return the one table, which lives as long as this VM
     * @throws IllegalStateException when neither {@link #createIrqchip} nor {@link X86Vm#createSplitIrqchip} was called
     */
    public GsiRoutes routes() {
        if (!routes.isStarted()) {
            throw new IllegalStateException(
                    vm + " has no interrupt controller: call createIrqchip or createSplitIrqchip first");
        }
        return routes;
    }

    /** The table, whether it has begun or not. */
    GsiRoutes table() {
        return routes;
    }

    /**
     * {@code KVM_IRQFD}: lets the signals of an eventfd interrupt the guest, edge-triggered. Needs an irqchip.
     *
     * @param trigger the eventfd; it stays the caller's, and it cannot serve two irqfds
     * @param gsi the global system interrupt, zero or more; while no route leads anywhere from it, signals are lost
     * @return the irqfd, which belongs to the VM and to the eventfd
     * @throws IllegalArgumentException when the GSI is negative, or the eventfd is of another kernel
     * @throws KernelException when the kernel refuses; the message says what to do
     */
    public IrqFd addIrqFd(EventFd trigger, int gsi) {
        return IrqFd.assign(vm, trigger, gsi, null);
    }

    /**
     * {@code KVM_IRQFD} with {@code KVM_IRQFD_FLAG_RESAMPLE}: lets a signal raise a level-triggered interrupt. When the
     * guest is done with it, the line falls and {@code resample} is signalled, so that whoever raised it can look
     * whether it must rise again. Needs {@link #createIrqchip} and Linux 3.7.
     *
     * @param trigger the eventfd that raises it; it stays the caller's, and it cannot serve two irqfds
     * @param gsi the global system interrupt, zero or more
     * @param resample the eventfd that the kernel signals; it stays the caller's
     * @return the irqfd, which belongs to the VM and to both eventfds
     * @throws IllegalArgumentException when the GSI is negative, or an eventfd is of another kernel
     * @throws KernelException when the kernel refuses; the message says what to do
     */
    public IrqFd addIrqFd(EventFd trigger, int gsi, EventFd resample) {
        return IrqFd.assign(vm, trigger, gsi, Objects.requireNonNull(resample));
    }
}
