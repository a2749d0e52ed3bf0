package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_ioeventfd;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import java.lang.foreign.MemorySegment;
import java.util.OptionalLong;

/**
 * An address at which a guest's write signals an eventfd instead of leaving the guest for the program: a doorbell. It
 * is made by {@link Vm#addIoEventFd(EventFd, IoAddress, int)}, and belongs to its VM and its eventfd. Closing it
 * ({@code KVM_IOEVENTFD_FLAG_DEASSIGN}) gives such writes back to the program.
 */
public final class IoEventFd extends Handle {
    private static final Ioctl IOEVENTFD = new Ioctl("KVM_IOEVENTFD", kvm_h.KVM_IOEVENTFD());

    private final Vm vm;
    private final EventFd eventFd;
    private final IoAddress address;
    private final int length;
    private final OptionalLong dataMatch;

    private IoEventFd(Vm vm, EventFd eventFd, IoAddress address, int length, OptionalLong dataMatch) {
        this.vm = vm;
        this.eventFd = eventFd;
        this.address = address;
        this.length = length;
        this.dataMatch = dataMatch;
    }

    static IoEventFd assign(Vm vm, EventFd eventFd, IoAddress address, int length, OptionalLong dataMatch) {
        checkLength(address, length);
        dataMatch.ifPresent(value -> checkDataMatch(length, value));
        IoEventFd assigned = new IoEventFd(vm, eventFd, address, length, dataMatch);
        int result = assigned.call(0);
        if (result < 0) {
            throw assigned.refused(result, Errno.EEXIST.is(result) ? "It collides with one of " + vm.ioEventFds() : "");
        }
        Lifecycle.adopt(assigned, eventFd);
        return Lifecycle.adopt(assigned, vm);
    }

    private static void checkLength(IoAddress address, int length) {
        int longest = address.space() == IoAddress.Space.PORT ? Integer.BYTES : Long.BYTES;
        if (length < 0 || length > longest || Integer.bitCount(length) > 1) {
            throw new IllegalArgumentException("a write of " + length + " bytes at " + address
                    + " cannot be: it has 1, 2, 4" + (longest == Long.BYTES ? " or 8" : "") + ", or 0 for any length");
        }
        if (address.value() < 0 && address.value() + length >= 0) {
            throw new IllegalArgumentException("a write of " + length + " bytes at " + address
                    + " reaches the end of all addresses, which KVM does not allow");
        }
    }

    private static void checkDataMatch(int length, long value) {
        if (length == 0) {
            throw new IllegalArgumentException("a value can be compared only with a write of a given length");
        }
        if (length < Long.BYTES && value >>> length * Byte.SIZE != 0) {
            throw new IllegalArgumentException(
                    "the value 0x" + Long.toHexString(value) + " is never written with " + length + " bytes");
        }
    }

    private int call(int flags) {
        int portFlag = address.space() == IoAddress.Space.PORT ? kvm_h.KVM_IOEVENTFD_FLAG_PIO() : 0;
        int matchFlag = dataMatch.isPresent() ? kvm_h.KVM_IOEVENTFD_FLAG_DATAMATCH() : 0;
        return eventFd.fd().lend(fd -> {
            MemorySegment ioEventFd = kvm_ioeventfd.allocate(Scratch.begin());
            kvm_ioeventfd.fd(ioEventFd, fd);
            kvm_ioeventfd.addr(ioEventFd, address.value());
            kvm_ioeventfd.len(ioEventFd, length);
            kvm_ioeventfd.datamatch(ioEventFd, dataMatch.orElse(0));
            kvm_ioeventfd.flags(ioEventFd, flags | portFlag | matchFlag);
            return vm.fd().ioctl(IOEVENTFD, ioEventFd);
        });
    }

    private KernelException refused(int result, String remedy) {
        return new KernelException(IOEVENTFD.name(), vm.fd(), "fd=" + eventFd + ", " + where(), result, remedy);
    }

    private String where() {
        return "addr=" + address + ", len=" + length + (dataMatch.isEmpty()
                ? ""
                : ", datamatch=0x" + Long.toHexString(dataMatch.getAsLong()));
    }

    /**
     * What is signalled.
     *
     * @return it stays its owner's
     */
    public EventFd eventFd() {
        return eventFd;
    }

    /**
     * Where the guest writes.
     *
     * @return a port or a guest-physical address
     */
    public IoAddress address() {
        return address;
    }

    /**
     * How long the write is.
     *
     * @return bytes; 0 when any length will do
     */
    public int length() {
        return length;
    }

    /**
     * What the guest writes.
     *
     * @return empty when any value will do
     */
    public OptionalLong dataMatch() {
        return dataMatch;
    }

    @Override
    protected void release() {
        int result = call(kvm_h.KVM_IOEVENTFD_FLAG_DEASSIGN());
        if (result < 0) {
            throw refused(result, "");
        }
    }

    @Override
    public String toString() {
        return "ioeventfd {" + where() + "} to " + eventFd;
    }
}
