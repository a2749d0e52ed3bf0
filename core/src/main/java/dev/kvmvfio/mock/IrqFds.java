package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.EBUSY;
import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_irqfd;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** The eventfds that interrupt a guest. */
final class IrqFds {
    private final Vm vm;
    private final List<IrqFd> all = new ArrayList<>();

    IrqFds(Vm vm) {
        this.vm = vm;
    }

    /** One eventfd; {@code resample} is told when the guest acknowledges the interrupt, or null. */
    private final class IrqFd implements EventFd.Waiter {
        private final EventFd trigger;
        private final EventFd resample;
        private final int gsi;

        IrqFd(EventFd trigger, EventFd resample, int gsi) {
            this.trigger = trigger;
            this.resample = resample;
            this.gsi = gsi;
        }

        @Override
        public void signalled() {
            vm.interrupts().set(gsi, true);
            if (resample == null) {
                vm.interrupts().set(gsi, false);
            }
        }

        @Override
        public void hungUp() {
            remove(this);
        }
    }

    long set(MemorySegment argument) {
        int flags = kvm_irqfd.flags(argument);
        Refusal.when((flags & ~(kvm_h.KVM_IRQFD_FLAG_DEASSIGN() | kvm_h.KVM_IRQFD_FLAG_RESAMPLE())) != 0, EINVAL);
        if ((flags & kvm_h.KVM_IRQFD_FLAG_DEASSIGN()) != 0) {
            deassign(argument);
        } else {
            assign(argument, (flags & kvm_h.KVM_IRQFD_FLAG_RESAMPLE()) != 0);
        }
        return 0;
    }

    private void assign(MemorySegment argument, boolean resampled) {
        Refusal.when(resampled ? !vm.interrupts().hasChips() : !vm.interrupts().exists(), EINVAL);
        EventFd trigger = EventFd.of(vm.machine(), kvm_irqfd.fd(argument));
        EventFd resample = resampled ? EventFd.of(vm.machine(), kvm_irqfd.resamplefd(argument)) : null;
        Refusal.when(isTaken(trigger), EBUSY);
        IrqFd irqFd = new IrqFd(trigger, resample, kvm_irqfd.gsi(argument));
        all.add(irqFd);
        trigger.addWaiter(irqFd);
        if (trigger.isSignalled()) {
            irqFd.signalled();
        }
    }

    /** Newer kernels give an eventfd's signals to one irqfd, whichever VM it is of. */
    private boolean isTaken(EventFd trigger) {
        return vm.machine().isAtLeast(KernelProfile.V7_2)
                ? trigger.hasWaiter()
                : all.stream().anyMatch(irqFd -> irqFd.trigger == trigger);
    }

    private void deassign(MemorySegment argument) {
        EventFd trigger = EventFd.of(vm.machine(), kvm_irqfd.fd(argument));
        List.copyOf(all).stream()
                .filter(irqFd -> irqFd.trigger == trigger && irqFd.gsi == kvm_irqfd.gsi(argument))
                .forEach(this::remove);
    }

    private void remove(IrqFd irqFd) {
        all.remove(irqFd);
        irqFd.trigger.removeWaiter(irqFd);
        if (irqFd.resample != null
                && all.stream().noneMatch(other -> other.resample != null && other.gsi == irqFd.gsi)) {
            vm.interrupts().set(irqFd.gsi, false);
        }
    }

    /** The guest is done with an interrupt: its line falls, and whoever raised it looks again. */
    void acknowledge(int gsi) {
        if (vm.interrupts().isRaised(gsi)) {
            vm.interrupts().set(gsi, false);
            all.stream().filter(irqFd -> irqFd.gsi == gsi && irqFd.resample != null).toList()
                    .forEach(irqFd -> irqFd.resample.signal());
        }
    }

    void clear() {
        List.copyOf(all).forEach(this::remove);
    }
}
