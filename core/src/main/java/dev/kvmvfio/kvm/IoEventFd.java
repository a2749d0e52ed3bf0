package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_ioeventfd;
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
import java.util.OptionalLong;

/**
 * An address at which a guest's write signals an eventfd instead of leaving the guest for the program: a doorbell. It
 * is made by {@link Vm#addIoEventFd(EventFd, IoAddress, int)}, and belongs to its VM and its eventfd. Closing it
 * ({@code KVM_IOEVENTFD} with {@code KVM_IOEVENTFD_FLAG_DEASSIGN}) gives such writes back to the program.
 */
public final class IoEventFd extends Handle {
    private static final Ioctl IOEVENTFD = new Ioctl("KVM_IOEVENTFD", kvm_h.KVM_IOEVENTFD());

    private final Vm vm;
    private final EventFd eventFd;
    private final IoAddress address;
    private final int size;
    private final OptionalLong dataMatch;

    private IoEventFd(Vm vm, EventFd eventFd, IoAddress address, int size, OptionalLong dataMatch) {
        super(Rank.LINK);
        this.vm = vm;
        this.eventFd = eventFd;
        this.address = address;
        this.size = size;
        this.dataMatch = dataMatch;
    }

    static IoEventFd assign(Vm vm, EventFd eventFd, IoAddress address, int size, OptionalLong dataMatch) {
        checkSize(address, size);
        dataMatch.ifPresent(value -> checkDataMatch(size, value));
        OneKernel.require(vm.fd(), eventFd.fd());
        IoEventFd assigned = new IoEventFd(vm, eventFd, address, size, dataMatch);
        return Lifecycle.make(assigned, assigned::assign, vm, eventFd);
    }

    private void assign() {
        int result = call(0);
        if (result < 0) {
            throw refused(result, Errno.EEXIST.is(result) ? "It collides with one of " + vm.ioEventFds() : "");
        }
    }

    private static void checkSize(IoAddress address, int size) {
        int largest = address.space() == IoAddress.Space.PORT ? Integer.BYTES : Long.BYTES;
        if (size < 0 || size > largest || Integer.bitCount(size) > 1) {
            throw new IllegalArgumentException("a write of " + size + " bytes at " + address
                    + " cannot be: it has 1, 2, 4" + (largest == Long.BYTES ? " or 8" : "") + ", or 0 for any length");
        }
        if (address.value() < 0 && address.value() + size >= 0) {
            throw new IllegalArgumentException("a write of " + size + " bytes at " + address
                    + " reaches the end of all addresses, which KVM does not allow");
        }
    }

    private static void checkDataMatch(int size, long value) {
        if (size == 0) {
            throw new IllegalArgumentException("a value can be compared only with a write of a given length");
        }
        if (size < Long.BYTES && value >>> size * Byte.SIZE != 0) {
            throw new IllegalArgumentException(
                    "the value 0x" + Long.toHexString(value) + " is never written with " + size + " bytes");
        }
    }

    private int call(int flags) {
        int portFlag = address.space() == IoAddress.Space.PORT ? kvm_h.KVM_IOEVENTFD_FLAG_PIO() : 0;
        int matchFlag = dataMatch.isPresent() ? kvm_h.KVM_IOEVENTFD_FLAG_DATAMATCH() : 0;
        return eventFd.fd().lend(fd -> {
            MemorySegment ioEventFd = kvm_ioeventfd.allocate(Scratch.begin());
            kvm_ioeventfd.fd(ioEventFd, fd);
            kvm_ioeventfd.addr(ioEventFd, address.value());
            kvm_ioeventfd.len(ioEventFd, size);
            kvm_ioeventfd.datamatch(ioEventFd, dataMatch.orElse(0));
            kvm_ioeventfd.flags(ioEventFd, flags | portFlag | matchFlag);
            return vm.fd().ioctl(IOEVENTFD, ioEventFd);
        });
    }

    private KernelException refused(int result, String remedy) {
        return new KernelException(IOEVENTFD.name(), vm.fd(), "fd=" + eventFd + ", " + where(), result, remedy);
    }

    private String where() {
        return "addr=" + address + ", len=" + size + (dataMatch.isEmpty()
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
     * How large the write is.
     *
     * @return bytes; 0 when any size will do
     */
    public int size() {
        return size;
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
