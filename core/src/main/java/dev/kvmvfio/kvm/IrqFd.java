package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_irqfd;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.OneKernel;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * An eventfd that interrupts the guest: each signal becomes an interrupt inside the kernel, and no program runs in
 * between. It is made by {@link VmInterrupts#addIrqFd(EventFd, int)}, and belongs to its VM, to its eventfds and to the
 * {@link MsiRoute} that it uses.
 *
 * <p>When it is made, a signal that its eventfd got before is delivered. Closing it ({@code KVM_IRQFD} with {@code KVM_IRQFD_FLAG_DEASSIGN})
 * returns when the last interrupt is through; what is signalled after that stays in the eventfd's counter.
 */
public final class IrqFd extends Handle {
    private static final Ioctl IRQFD = new Ioctl("KVM_IRQFD", kvm_h.KVM_IRQFD());
    private static final int NONE = -1;

    private final Vm vm;
    private final EventFd trigger;
    private final int gsi;
    private final @Nullable EventFd resample;

    private IrqFd(Vm vm, EventFd trigger, int gsi, @Nullable EventFd resample) {
        super(Rank.LINK);
        this.vm = vm;
        this.trigger = trigger;
        this.gsi = gsi;
        this.resample = resample;
    }

    static IrqFd assign(Vm vm, EventFd trigger, int gsi, @Nullable EventFd resample) {
        if (gsi < 0) {
            throw new IllegalArgumentException("GSI " + gsi + " is negative");
        }
        OneKernel.require(vm.fd(), trigger.fd());
        if (resample != null) {
            OneKernel.require(vm.fd(), resample.fd());
        }
        IrqFd assigned = new IrqFd(vm, trigger, gsi, resample);
        Optional<MsiRoute> route = vm.interrupts().table().find(gsi);
        return Lifecycle.make(assigned, assigned::assign,
                Stream.of(vm, trigger, resample, route.orElse(null)).filter(Objects::nonNull).toArray(Handle[]::new));
    }

    private void assign() {
        int result = resample == null
                ? call(0, NONE)
                : resample.fd().lend(fd -> call(kvm_h.KVM_IRQFD_FLAG_RESAMPLE(), fd));
        if (result < 0) {
            throw refused(result, remedy(result));
        }
    }

    private int call(int flags, int resampleFd) {
        return trigger.fd().lend(fd -> {
            MemorySegment irqFd = kvm_irqfd.allocate(Scratch.begin());
            kvm_irqfd.fd(irqFd, fd);
            kvm_irqfd.gsi(irqFd, gsi);
            kvm_irqfd.flags(irqFd, flags);
            kvm_irqfd.resamplefd(irqFd, resampleFd);
            return vm.fd().ioctl(IRQFD, irqFd);
        });
    }

    private KernelException refused(int result, String remedy) {
        return new KernelException(IRQFD.name(), vm.fd(), "fd=" + trigger + ", gsi=" + gsi
                + (resample == null ? "" : ", resamplefd=" + resample), result, remedy);
    }

    private String remedy(int result) {
        return switch (Errno.of(-result)) {
            case EINVAL -> resample == null
                    ? "The VM has no interrupt controller in the kernel: call createIrqchip or createSplitIrqchip first"
                    : "A resample eventfd needs the IO-APIC in the kernel: call createIrqchip first";
            case EBUSY -> "This eventfd interrupts a guest already: close that irqfd, or make another eventfd";
            case EAGAIN -> "The VGIC is not initialised: set KVM_DEV_ARM_VGIC_CTRL_INIT first";
            default -> "";
        };
    }

    /**
     * The eventfd whose signals interrupt the guest.
     *
     * @return it stays its owner's
     */
    public EventFd trigger() {
        return trigger;
    }

    /**
     * Which interrupt it is.
     *
     * @return the global system interrupt
     */
    public int gsi() {
        return gsi;
    }

    /**
     * The eventfd that is signalled when the guest is done with the interrupt.
     *
     * @return empty for an edge-triggered interrupt
     */
    public Optional<EventFd> resample() {
        return Optional.ofNullable(resample);
    }

    @Override
    protected void release() {
        int result = call(kvm_h.KVM_IRQFD_FLAG_DEASSIGN(), NONE);
        if (result < 0) {
            throw refused(result, "");
        }
    }

    @Override
    public String toString() {
        return "irqfd " + trigger + " to GSI " + gsi + " of " + vm + (resample == null ? "" : ", resample " + resample);
    }
}
