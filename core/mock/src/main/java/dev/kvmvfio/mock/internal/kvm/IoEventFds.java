package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EEXIST;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOENT;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_ioeventfd;
import dev.kvmvfio.mock.internal.system.EventFdFile;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** The addresses at which a guest's write signals an eventfd. */
public final class IoEventFds {
    private static final int VALID_FLAGS = kvm_h.KVM_IOEVENTFD_VALID_FLAG_MASK();

    private final Machine machine;
    private final List<Doorbell> all = new ArrayList<>();

    IoEventFds(Machine machine) {
        this.machine = machine;
    }

    /** The kinds of address; a write to memory whose length does not matter has a place of its own. */
    private enum Bus {
        MEMORY, FAST_MEMORY, PORT, CCW
    }

    /** One address; {@code match} is null when any value will do. */
    private record Doorbell(EventFdFile eventFd, Bus bus, long address, int length, Long match) {
        private boolean collides(Doorbell other) {
            return bus == other.bus && address == other.address && (length == 0 || other.length == 0
                    || length == other.length && (match == null || other.match == null || match.equals(other.match)));
        }
    }

    long set(MemorySegment argument) {
        int flags = kvm_ioeventfd.flags(argument);
        if ((flags & kvm_h.KVM_IOEVENTFD_FLAG_DEASSIGN()) != 0) {
            deassign(argument);
        } else {
            assign(argument);
        }
        return 0;
    }

    private static Bus bus(MemorySegment argument) {
        int flags = kvm_ioeventfd.flags(argument);
        if ((flags & kvm_h.KVM_IOEVENTFD_FLAG_PIO()) != 0) {
            return Bus.PORT;
        }
        return (flags & kvm_h.KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY()) != 0 ? Bus.CCW : Bus.MEMORY;
    }

    private Doorbell decode(MemorySegment argument, Bus bus) {
        boolean matches = (kvm_ioeventfd.flags(argument) & kvm_h.KVM_IOEVENTFD_FLAG_DATAMATCH()) != 0;
        return new Doorbell(EventFdFile.of(machine, kvm_ioeventfd.fd(argument)), bus, kvm_ioeventfd.addr(argument),
                kvm_ioeventfd.len(argument), matches ? kvm_ioeventfd.datamatch(argument) : null);
    }

    private void assign(MemorySegment argument) {
        int length = kvm_ioeventfd.len(argument);
        long address = kvm_ioeventfd.addr(argument);
        int flags = kvm_ioeventfd.flags(argument);
        Refusal.when(length < 0 || length > Long.BYTES || Integer.bitCount(length) > 1, EINVAL);
        Refusal.when(Long.compareUnsigned(address + length, address) < 0, EINVAL);
        Refusal.when((flags & ~VALID_FLAGS) != 0, EINVAL);
        Refusal.when(length == 0 && (flags & kvm_h.KVM_IOEVENTFD_FLAG_DATAMATCH()) != 0, EINVAL);
        Doorbell added = decode(argument, bus(argument));
        Refusal.when(all.stream().anyMatch(added::collides), EEXIST);
        all.add(added);
        if (length == 0 && added.bus == Bus.MEMORY) {
            all.add(decode(argument, Bus.FAST_MEMORY));
        }
    }

    private void deassign(MemorySegment argument) {
        Doorbell removed = decode(argument, bus(argument));
        Refusal.when(!all.remove(removed), ENOENT);
        if (removed.length == 0 && removed.bus == Bus.MEMORY) {
            all.remove(decode(argument, Bus.FAST_MEMORY));
        }
    }

    /** A guest's write; says whether an eventfd took it. */
    public boolean write(boolean port, long address, int length, long value) {
        Bus bus = port ? Bus.PORT : Bus.MEMORY;
        for (Doorbell candidate : all) {
            if (candidate.bus == bus && candidate.address == address
                    && (candidate.length == 0 || candidate.length == length)
                    && (candidate.match == null || candidate.match == value)) {
                candidate.eventFd.signal();
                return true;
            }
        }
        return false;
    }

    void clear() {
        all.clear();
    }
}
