package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EBUSY;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOTTY;
import static dev.kvmvfio.kernel.Errno.ERANGE;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_irq_set;
import dev.kvmvfio.mock.internal.pci.PciDescription;
import dev.kvmvfio.mock.internal.pci.PciFunction;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.EventFdFile;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;

/** A device's interrupts, and the eventfds that they signal: its line or its messages, errors and requests. */
final class VfioInterrupts {
    static final int INTX = vfio_h.VFIO_PCI_INTX_IRQ_INDEX();
    static final int MSI = vfio_h.VFIO_PCI_MSI_IRQ_INDEX();
    static final int MSIX = vfio_h.VFIO_PCI_MSIX_IRQ_INDEX();
    static final int ERROR = vfio_h.VFIO_PCI_ERR_IRQ_INDEX();
    static final int REQUEST = vfio_h.VFIO_PCI_REQ_IRQ_INDEX();

    private static final int NONE = -1;
    private static final int DATA = vfio_h.VFIO_IRQ_SET_DATA_TYPE_MASK();
    private static final int ACTION = vfio_h.VFIO_IRQ_SET_ACTION_TYPE_MASK();
    private static final int DATA_NONE = vfio_h.VFIO_IRQ_SET_DATA_NONE();
    private static final int DATA_BOOL = vfio_h.VFIO_IRQ_SET_DATA_BOOL();
    private static final int DATA_EVENTFD = vfio_h.VFIO_IRQ_SET_DATA_EVENTFD();
    private static final int ACTION_MASK = vfio_h.VFIO_IRQ_SET_ACTION_MASK();
    private static final int ACTION_UNMASK = vfio_h.VFIO_IRQ_SET_ACTION_UNMASK();
    private static final int ACTION_TRIGGER = vfio_h.VFIO_IRQ_SET_ACTION_TRIGGER();

    private final PciFunction function;
    private final Map<Integer, EventFdFile> triggers = new HashMap<>();
    private final Map<Integer, EventFdFile> notices = new HashMap<>();
    private int enabled = NONE;
    private int vectors;
    private boolean masked;
    private boolean disabledByCommand;
    private Unmasker unmasker;

    VfioInterrupts(PciFunction function) {
        this.function = function;
    }

    /** How many interrupts of a kind the device has. */
    int count(int index) {
        PciDescription.Interrupts interrupts = function.description().interrupts();
        if (index == INTX) {
            return interrupts.intx() ? 1 : 0;
        }
        if (index == MSI) {
            return interrupts.msiVectors();
        }
        if (index == MSIX) {
            return interrupts.msix() == null ? 0 : interrupts.msix().vectors();
        }
        if (index == ERROR) {
            return function.description().express() ? 1 : 0;
        }
        return index == REQUEST ? 1 : 0;
    }

    /** Whether single MSI-X vectors can be added while others are in use. */
    boolean isDynamic(int index) {
        return index == MSIX && count(MSIX) > 0 && function.machine().isAtLeast(KernelProfile.V6_12);
    }

    /** What a program asks for, checked as far as it can be without looking at the state. */
    private record Request(int flags, int index, int start, int count, MemorySegment data) {
        private int dataKind() {
            return flags & DATA;
        }

        private int action() {
            return flags & ACTION;
        }

        private int fd(int i) {
            return data.getAtIndex(ValueLayout.JAVA_INT, i);
        }

        /** Whether interrupt {@code i} is meant by a request that fires or masks. */
        private boolean selects(int i) {
            return dataKind() == DATA_NONE || data.get(ValueLayout.JAVA_BYTE, i) != 0;
        }
    }

    long set(Argument argument) {
        long header = vfio_irq_set.data$offset();
        MemorySegment set = argument.read(0, header);
        Request request = new Request(vfio_irq_set.flags(set), vfio_irq_set.index(set), vfio_irq_set.start(set),
                vfio_irq_set.count(set), null);
        long room = Integer.toUnsignedLong(vfio_irq_set.argsz(set)) - header;
        long size = dataSize(request, room);
        apply(new Request(request.flags, request.index, request.start, request.count, argument.read(header, size)));
        return 0;
    }

    private long dataSize(Request request, long room) {
        long start = Integer.toUnsignedLong(request.start);
        long count = Integer.toUnsignedLong(request.count);
        Refusal.when(room < 0 || Integer.compareUnsigned(request.index, vfio_h.VFIO_PCI_NUM_IRQS()) >= 0
                || (request.flags & ~(DATA | ACTION)) != 0, EINVAL);
        Refusal.when(start >= count(request.index) || start + count > count(request.index), EINVAL);
        long size;
        if (request.dataKind() == DATA_NONE) {
            size = 0;
        } else if (request.dataKind() == DATA_BOOL) {
            size = count;
        } else {
            Refusal.when(request.dataKind() != DATA_EVENTFD, EINVAL);
            size = count * Integer.BYTES;
        }
        Refusal.when(room < size, EINVAL);
        return size;
    }

    private void apply(Request request) {
        boolean trigger = request.action() == ACTION_TRIGGER;
        if (request.index == INTX && request.action() == ACTION_MASK) {
            maskIntx(request);
        } else if (request.index == INTX && request.action() == ACTION_UNMASK) {
            unmaskIntx(request);
        } else if (request.index == INTX && trigger) {
            triggerIntx(request);
        } else if ((request.index == MSI || request.index == MSIX) && trigger) {
            triggerMessages(request);
        } else if ((request.index == ERROR || request.index == REQUEST) && trigger) {
            triggerNotice(request);
        } else {
            throw Refusal.of(ENOTTY);
        }
    }

    private void maskIntx(Request request) {
        Refusal.when(enabled != INTX || request.count != 1, EINVAL);
        Refusal.when(request.dataKind() == DATA_EVENTFD, ENOTTY);
        if (request.selects(0)) {
            masked = true;
        }
    }

    private void unmaskIntx(Request request) {
        Refusal.when(enabled != INTX || request.count != 1, EINVAL);
        if (request.dataKind() == DATA_EVENTFD) {
            setUnmasker(request.fd(0));
        } else if (request.selects(0)) {
            unmask();
        }
    }

    private void setUnmasker(int fd) {
        if (fd < 0) {
            removeUnmasker();
            return;
        }
        EventFdFile eventFd = EventFdFile.of(function.machine(), fd);
        Refusal.when(unmasker != null, EBUSY);
        unmasker = new Unmasker(eventFd);
        eventFd.addWaiter(unmasker);
        if (eventFd.isSignalled()) {
            unmask();
        }
    }

    private void removeUnmasker() {
        if (unmasker != null) {
            unmasker.eventFd.removeWaiter(unmasker);
            unmasker = null;
        }
    }

    /** An eventfd whose signal unmasks the line. */
    private final class Unmasker implements EventFdFile.Waiter {
        private final EventFdFile eventFd;

        Unmasker(EventFdFile eventFd) {
            this.eventFd = eventFd;
        }

        @Override
        public void signalled() {
            unmask();
        }

        @Override
        public void hungUp() {
            removeUnmasker();
        }
    }

    /** An interrupt that is still raised comes again at once, and stays masked. */
    private void unmask() {
        if (masked && !disabledByCommand) {
            masked = function.endpoint().isIntxRaised();
            if (masked) {
                signalIntx();
            }
        }
    }

    private void signalIntx() {
        EventFdFile trigger = triggers.get(0);
        if (enabled == INTX && !disabledByCommand && trigger != null) {
            trigger.signal();
        }
    }

    /** The device raises its line; it is masked until the program has seen to it. */
    void lineRaised() {
        if (enabled == INTX && !masked) {
            masked = true;
            signalIntx();
        }
    }

    /** The bit in the command register that switches the line off. */
    void setDisabledByCommand(boolean disabled) {
        if (disabled == disabledByCommand) {
            return;
        }
        disabledByCommand = disabled;
        if (disabled) {
            masked = true;
        } else if (enabled == INTX) {
            unmask();
        }
    }

    private void triggerIntx(Request request) {
        if (enabled == INTX && request.count == 0 && request.dataKind() == DATA_NONE) {
            disable();
            return;
        }
        Refusal.when(enabled != INTX && enabled != NONE || request.count != 1, EINVAL);
        if (request.dataKind() == DATA_EVENTFD) {
            setIntxTrigger(request.fd(0));
        } else {
            Refusal.when(enabled != INTX, EINVAL);
            if (request.selects(0)) {
                signalIntx();
            }
        }
    }

    private void setIntxTrigger(int fd) {
        EventFdFile trigger = fd < 0 ? null : EventFdFile.of(function.machine(), fd);
        triggers.put(0, trigger);
        if (enabled == NONE) {
            enabled = INTX;
            masked = disabledByCommand;
            if (function.endpoint().isIntxRaised()) {
                lineRaised();
            }
        }
    }

    private void triggerMessages(Request request) {
        boolean on = enabled == request.index;
        if (on && request.count == 0 && request.dataKind() == DATA_NONE) {
            disable();
            return;
        }
        Refusal.when(!on && enabled != NONE, EINVAL);
        if (request.dataKind() != DATA_EVENTFD) {
            Refusal.when(!on || isBeyondVectors(request.start + request.count - 1), EINVAL);
            fire(request);
        } else if (on) {
            setMessages(request);
        } else {
            enableMessages(request);
        }
    }

    /** Older kernels know no more vectors than were enabled at first. */
    private boolean isBeyondVectors(int vector) {
        return !function.machine().isAtLeast(KernelProfile.V6_12) && vector >= vectors;
    }

    private void fire(Request request) {
        for (int i = 0; i < request.count; i++) {
            EventFdFile trigger = triggers.get(request.start + i);
            if (trigger != null && request.selects(i)) {
                trigger.signal();
            }
        }
    }

    private void enableMessages(Request request) {
        Refusal.when(request.start + request.count < 1, ERANGE);
        enabled = request.index;
        vectors = request.start + request.count;
        try {
            setMessages(request);
        } catch (Refusal refused) {
            disable();
            throw refused;
        }
    }

    private void setMessages(Request request) {
        int done = 0;
        try {
            Refusal.when(isBeyondVectors(request.start)
                    || isBeyondVectors(request.start + request.count - 1), EINVAL);
            for (; done < request.count; done++) {
                setMessage(request.start + done, request.fd(done));
            }
        } catch (Refusal refused) {
            for (int i = 0; i <= Math.min(done, request.count - 1); i++) {
                triggers.remove(request.start + i);
            }
            throw refused;
        }
    }

    private void setMessage(int vector, int fd) {
        triggers.remove(vector);
        if (fd >= 0) {
            Refusal.when(vector >= vectors && !isDynamic(enabled), EINVAL);
            triggers.put(vector, EventFdFile.of(function.machine(), fd));
        }
    }

    private void triggerNotice(Request request) {
        EventFdFile notice = notices.get(request.index);
        if (request.dataKind() == DATA_NONE) {
            Refusal.when(notice == null, EINVAL);
            if (request.count == 0) {
                notices.remove(request.index);
            } else {
                notice.signal();
            }
            return;
        }
        Refusal.when(request.count == 0, EINVAL);
        if (request.dataKind() == DATA_EVENTFD) {
            setNotice(request.index, request.fd(0));
        } else if (request.selects(0) && notice != null) {
            notice.signal();
        }
    }

    private void setNotice(int index, int fd) {
        Refusal.when(fd < -1 && function.machine().isAtLeast(KernelProfile.V6_12), EINVAL);
        if (fd == -1) {
            notices.remove(index);
        } else if (fd >= 0) {
            notices.put(index, EventFdFile.of(function.machine(), fd));
        }
    }

    boolean hasMessages() {
        return enabled == MSI || enabled == MSIX;
    }

    /** The device sends a message; it is lost when nobody wants it. */
    boolean message(int vector) {
        EventFdFile trigger = hasMessages() ? triggers.get(vector) : null;
        if (trigger != null) {
            trigger.signal();
        }
        return trigger != null;
    }

    boolean request() {
        return notify(REQUEST);
    }

    boolean error() {
        return notify(ERROR);
    }

    private boolean notify(int index) {
        EventFdFile notice = notices.get(index);
        if (notice != null) {
            notice.signal();
        }
        return notice != null;
    }

    private void disable() {
        removeUnmasker();
        triggers.clear();
        enabled = NONE;
        vectors = 0;
    }

    /** The device is closed: nothing is signalled any more. */
    void close() {
        disable();
        notices.clear();
        disabledByCommand = false;
    }
}
