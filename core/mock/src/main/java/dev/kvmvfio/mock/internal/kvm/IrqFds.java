package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EBUSY;
import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_irqfd;
import dev.kvmvfio.mock.internal.system.EventFdFile;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** The eventfds that interrupt a guest. */
public final class IrqFds {
    private final VirtualMachine vm;
    private final List<Injector> all = new ArrayList<>();

    IrqFds(VirtualMachine vm) {
        this.vm = vm;
    }

    /** One eventfd; {@code resample} is told when the guest acknowledges the interrupt, or null. */
    private final class Injector implements EventFdFile.Waiter {
        private final EventFdFile trigger;
        private final EventFdFile resample;
        private final int gsi;

        Injector(EventFdFile trigger, EventFdFile resample, int gsi) {
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
        EventFdFile trigger = EventFdFile.of(vm.machine(), kvm_irqfd.fd(argument));
        EventFdFile resample = resampled ? EventFdFile.of(vm.machine(), kvm_irqfd.resamplefd(argument)) : null;
        Refusal.when(isTaken(trigger), EBUSY);
        Injector injector = new Injector(trigger, resample, kvm_irqfd.gsi(argument));
        all.add(injector);
        trigger.addWaiter(injector);
        if (trigger.isSignalled()) {
            injector.signalled();
        }
    }

    /** Newer kernels give an eventfd's signals to one irqfd, whichever VM it is of. */
    private boolean isTaken(EventFdFile trigger) {
        return vm.machine().isAtLeast(KernelProfile.V7_2)
                ? trigger.hasWaiter()
                : all.stream().anyMatch(injector -> injector.trigger == trigger);
    }

    private void deassign(MemorySegment argument) {
        EventFdFile trigger = EventFdFile.of(vm.machine(), kvm_irqfd.fd(argument));
        List.copyOf(all).stream()
                .filter(injector -> injector.trigger == trigger && injector.gsi == kvm_irqfd.gsi(argument))
                .forEach(this::remove);
    }

    private void remove(Injector injector) {
        all.remove(injector);
        injector.trigger.removeWaiter(injector);
        if (injector.resample != null
                && all.stream().noneMatch(other -> other.resample != null && other.gsi == injector.gsi)) {
            vm.interrupts().set(injector.gsi, false);
        }
    }

    /** The guest is done with an interrupt: its line falls, and whoever raised it looks again. */
    public void acknowledge(int gsi) {
        if (vm.interrupts().isRaised(gsi)) {
            vm.interrupts().set(gsi, false);
            all.stream().filter(injector -> injector.gsi == gsi && injector.resample != null).toList()
                    .forEach(injector -> injector.resample.signal());
        }
    }

    void clear() {
        List.copyOf(all).forEach(this::remove);
    }
}
