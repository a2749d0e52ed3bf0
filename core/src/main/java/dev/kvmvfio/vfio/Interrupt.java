package dev.kvmvfio.vfio;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_irq_info;
import dev.kvmvfio.bindings.vfio.vfio_irq_set;
import dev.kvmvfio.internal.Answer;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.OneKernel;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Remedy;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.KvmVfioException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * One kind of interrupt of a device. When it is enabled, each of its vectors signals an eventfd. It belongs to its
 * device, which disables it when it is closed. The eventfds stay their owner's.
 *
 * <p>Of INTx, MSI and MSI-X only one can be enabled at a time.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class Interrupt {
    /** The interrupt line of a PCI device: level-triggered, masked by the kernel whenever it fires. */
    public static final int INTX = vfio_h.VFIO_PCI_INTX_IRQ_INDEX();
    /** Message-signalled interrupts. */
    public static final int MSI = vfio_h.VFIO_PCI_MSI_IRQ_INDEX();
    /** Message-signalled interrupts with a table. */
    public static final int MSIX = vfio_h.VFIO_PCI_MSIX_IRQ_INDEX();
    /** Signals an uncorrectable error of the device. */
    public static final int ERR = vfio_h.VFIO_PCI_ERR_IRQ_INDEX();
    /** Signals that the host wants the device back. */
    public static final int REQ = vfio_h.VFIO_PCI_REQ_IRQ_INDEX();

    private static final List<String> NAMES = List.of("INTx", "MSI", "MSI-X", "ERR", "REQ");
    private static final Ioctl GET_IRQ_INFO = new Ioctl("VFIO_DEVICE_GET_IRQ_INFO", vfio_h.VFIO_DEVICE_GET_IRQ_INFO());
    private static final Ioctl SET_IRQS = new Ioctl("VFIO_DEVICE_SET_IRQS", vfio_h.VFIO_DEVICE_SET_IRQS());
    private static final int NO_EVENTFD = -1;
    /** As many as MSI-X has. */
    private static final int MOST_VECTORS = 2048;

    private static final List<Integer> EXCLUSIVE = List.of(INTX, MSI, MSIX);

    private final VfioDevice device;
    private final int index;
    private final int flags;
    private final int count;
    /** Held over the calls that enable and disable. */
    private final ReentrantLock changing = new ReentrantLock();
    private volatile @Nullable Enabled enabled;
    /** Whether a close has disabled it, and not the program. */
    private volatile boolean takenAway;

    /** That the interrupt is enabled, until it is disabled. */
    final class Enabled extends Handle {
        Enabled() {
            super(Rank.INTERRUPT);
        }

        @Override
        protected void release() {
            disable(this);
        }

        @Override
        public String toString() {
            return Interrupt.this + ", enabled";
        }
    }

    private Interrupt(VfioDevice device, int index, int flags, int count) {
        this.device = device;
        this.index = index;
        this.flags = flags;
        this.count = count;
    }

    /** Returns null for an index that this device does not have. */
    static @Nullable Interrupt read(VfioDevice device, int index) {
        MemorySegment info = vfio_irq_info.allocate(Scratch.begin());
        vfio_irq_info.argsz(info, (int) info.byteSize());
        vfio_irq_info.index(info, index);
        int result = device.fd().ioctl(GET_IRQ_INFO, info);
        if (Errno.EINVAL.is(result)) {
            return null;
        }
        if (result < 0) {
            throw new KernelException(GET_IRQ_INFO.name(), device, "index=" + index, result, "");
        }
        int count = new Answer(GET_IRQ_INFO.name(), device).count("vectors for index " + index,
                vfio_irq_info.count(info), MOST_VECTORS);
        return new Interrupt(device, index, vfio_irq_info.flags(info), count);
    }

    /**
     * The device whose interrupt it is.
     *
     * @return this interrupt belongs to it
     */
    public VfioDevice device() {
        return device;
    }

    /**
     * Which kind it is.
     *
     * @return {@link #INTX}, {@link #MSI}, {@link #MSIX}, {@link #ERR}, {@link #REQ}, or a number beyond them
     */
    public int index() {
        return index;
    }

    /**
     * How many vectors it has.
     *
     * @return zero when the device does not have this kind
     */
    public int count() {
        return count;
    }

    /**
     * Whether it can be masked and unmasked.
     *
     * @return what {@code VFIO_IRQ_INFO_MASKABLE} says
     */
    public boolean isMaskable() {
        return (flags & vfio_h.VFIO_IRQ_INFO_MASKABLE()) != 0;
    }

    /**
     * Whether the kernel masks it whenever it fires, so that it must be unmasked before it can fire again.
     *
     * @return what {@code VFIO_IRQ_INFO_AUTOMASKED} says
     */
    public boolean isAutomasked() {
        return (flags & vfio_h.VFIO_IRQ_INFO_AUTOMASKED()) != 0;
    }

    /**
     * Whether vectors can be added without disabling all of them first.
     *
     * @return what {@code VFIO_IRQ_INFO_NORESIZE} denies
     */
    public boolean isResizable() {
        return (flags & vfio_h.VFIO_IRQ_INFO_NORESIZE()) == 0;
    }

    /**
     * Whether {@link #enable} was called and {@link #disable} was not.
     *
     * @return what this object did; false as well when the interrupt was enabled by other means
     */
    public boolean isEnabled() {
        Enabled now = enabled;
        return now != null && now.isOpen();
    }

    /**
     * {@code VFIO_DEVICE_SET_IRQS}: enables the first vectors, each with its eventfd.
     *
     * @param vectors at least one eventfd
     * @throws IllegalArgumentException when there are more eventfds than vectors, or none, or one is of another kernel
     * @throws KernelException when the kernel refuses; {@code EINVAL} when another kind is enabled
     * @throws HostException when the host has too few interrupts left for so many vectors
     * @throws AnswerException when the kernel says so and has enough of them
     */
    public void enable(EventFd... vectors) {
        enable(Arrays.asList(vectors));
    }

    /**
     * {@code VFIO_DEVICE_SET_IRQS}: enables the first vectors, each with its eventfd.
     *
     * @param vectors at least one eventfd
     * @throws IllegalArgumentException when there are more eventfds than vectors, or none, or one is of another kernel
     * @throws KernelException when the kernel refuses; {@code EINVAL} when another kind is enabled
     * @throws HostException when the host has too few interrupts left for so many vectors
     * @throws AnswerException when the kernel says so and has enough of them
     */
    public void enable(List<EventFd> vectors) {
        if (vectors.isEmpty()) {
            throw new IllegalArgumentException("an eventfd is needed to enable " + this);
        }
        check(0, vectors.size());
        enableBy(() -> enable(0, vectors));
    }

    /** {@link #enable(List)} for one who disables it again, unless it is enabled already. */
    Handle enableFor(Handle user, List<EventFd> vectors) {
        return whileChanging(() -> {
            requireFree(vectors.size());
            enable(vectors);
            return Lifecycle.adopt(Objects.requireNonNull(enabled), user);
        });
    }

    /** Two threads that enable it make one interrupt of it, which is disabled once. */
    private void enableBy(Runnable call) {
        whileChanging(() -> {
            if (isEnabled()) {
                whileOpen(call);
            } else {
                make(new Enabled(), enabled, call);
            }
            return this;
        });
    }

    private <T> T whileChanging(Supplier<T> change) {
        return Lifecycle.lease(device, () -> {
            changing.lock();
            try {
                return change.get();
            } finally {
                changing.unlock();
            }
        });
    }

    private void make(Enabled made, @Nullable Enabled before, Runnable call) {
        Lifecycle.make(made, () -> {
            // From here the kernel may have it, whatever the call ends with.
            enabled = made;
            takenAway = false;
            try {
                call.run();
            } catch (KvmVfioException | ClosedException refused) {
                enabled = before;
                throw refused;
            }
        }, device);
    }

    /** One that was enabled anew meanwhile is the later one's to disable; the kernel says EINVAL when it is disabled. */
    private void disable(Enabled ended) {
        Lifecycle.whileLocked(changing, () -> disableIfCurrent(ended));
    }

    private void disableIfCurrent(Enabled ended) {
        if (enabled != ended) {
            return;
        }
        takenAway = true;
        try {
            set("disable", vfio_h.VFIO_IRQ_SET_ACTION_TRIGGER(), 0, 0);
        } catch (KernelException refused) {
            if (refused.errno() != Errno.EINVAL) {
                throw refused;
            }
        }
    }

    /** When the host has fewer vectors than it takes, the kernel enables none and answers how many it has. */
    private void enable(int start, List<EventFd> vectors) {
        int result = set(vfio_h.VFIO_IRQ_SET_ACTION_TRIGGER(), start, vectors);
        int wanted = start + vectors.size();
        if (result >= wanted) {
            throw new AnswerException(SET_IRQS.name(), this, result + " for " + wanted + " vectors");
        }
        if (result > 0) {
            throw new HostException("only " + result + " of " + wanted + " vectors are available for " + this,
                    "Enable fewer");
        }
    }

    /**
     * {@code VFIO_DEVICE_SET_IRQS}: changes the eventfd of one vector.
     *
     * @param vector 0 to {@link #count} - 1
     * @param eventFd what it shall signal from now on
     * @throws IllegalArgumentException when there is no such vector, or the eventfd is of another kernel
     * @throws KernelException when the kernel refuses
     * @throws HostException when the host has too few interrupts left for so many vectors
     * @throws AnswerException when the kernel says so and has enough of them
     */
    public void setVector(int vector, EventFd eventFd) {
        check(vector, 1);
        enableBy(() -> enable(vector, List.of(eventFd)));
    }

    /**
     * {@code VFIO_DEVICE_SET_IRQS}: takes its eventfd from one vector, which signals nothing from now on.
     *
     * @param vector 0 to {@link #count} - 1
     * @throws IllegalArgumentException when there is no such vector
     * @throws KernelException when the kernel refuses
     */
    public void clearVector(int vector) {
        check(vector, 1);
        enableBy(() -> clear(vfio_h.VFIO_IRQ_SET_ACTION_TRIGGER(), vector));
    }

    /**
     * {@code VFIO_DEVICE_SET_IRQS}: disables all vectors.
     *
     * @throws KernelException when the kernel refuses; {@code EINVAL} when it is not enabled
     */
    public void disable() {
        Enabled now = enabled;
        if (now == null || Lifecycle.isClosed(now)) {
            whileOpen(() -> set("disable", vfio_h.VFIO_IRQ_SET_ACTION_TRIGGER(), 0, 0));
        } else {
            now.close();
            takenAway = false;
        }
    }

    /** A close of the device disables the interrupt first: what the kernel refuses after that is the close's doing. */
    private void whileOpen(Runnable call) {
        try {
            call.run();
        } catch (KernelException refused) {
            if (takenAway || !device.isOpen()) {
                throw new ClosedException(takenAway ? "what had " + this + " enabled" : device);
            }
            throw refused;
        }
    }

    /** Disables what is enabled for a device, or for a user of it; false while it goes on. */
    static boolean disableAllOf(Handle user) {
        return Lifecycle.closeAll(Lifecycle.children(user, Enabled.class));
    }

    /** The same interrupt, when it has the vectors and nobody uses it. */
    Interrupt requireFree(int vectors) {
        if (vectors < 1 || vectors > count) {
            throw new IllegalArgumentException(vectors + " vectors cannot be connected of " + this);
        }
        if (isEnabled()) {
            throw new IllegalStateException(this + " is enabled already: disable it, or close its connection");
        }
        return this;
    }

    /**
     * {@code VFIO_DEVICE_SET_IRQS}: fires a vector as if the device had, which tests a signal's way.
     *
     * @param vector 0 to {@link #count} - 1
     * @throws IllegalArgumentException when there is no such vector
     * @throws KernelException when the kernel refuses; {@code EINVAL} when it is not enabled
     */
    public void trigger(int vector) {
        check(vector, 1);
        whileOpen(() -> set("trigger", vfio_h.VFIO_IRQ_SET_ACTION_TRIGGER(), vector, 1));
    }

    /**
     * {@code VFIO_DEVICE_SET_IRQS}: keeps INTx from firing.
     *
     * @throws KernelException when the kernel refuses; {@code ENOTTY} for what cannot be masked
     */
    public void mask() {
        whileOpen(() -> set("mask", vfio_h.VFIO_IRQ_SET_ACTION_MASK(), 0, 1));
    }

    /**
     * {@code VFIO_DEVICE_SET_IRQS}: lets INTx fire again, at once when the device still asks for it.
     *
     * @throws KernelException when the kernel refuses; {@code ENOTTY} for what cannot be masked
     */
    public void unmask() {
        whileOpen(() -> set("unmask", vfio_h.VFIO_IRQ_SET_ACTION_UNMASK(), 0, 1));
    }

    /**
     * {@code VFIO_DEVICE_SET_IRQS}: unmasks INTx whenever an eventfd is signalled, which is what KVM's resample eventfd
     * is for.
     *
     * @param eventFd the eventfd
     * @throws IllegalArgumentException when it is of another kernel
     * @throws KernelException when the kernel refuses; {@code EBUSY} when one is set already
     */
    public void unmaskOn(EventFd eventFd) {
        whileOpen(() -> set(vfio_h.VFIO_IRQ_SET_ACTION_UNMASK(), 0, List.of(eventFd)));
    }

    /**
     * {@code VFIO_DEVICE_SET_IRQS}: ends what {@link #unmaskOn} began.
     *
     * @throws KernelException when the kernel refuses; {@code ENOTTY} for what cannot be masked
     */
    public void unmaskOnNothing() {
        whileOpen(() -> clear(vfio_h.VFIO_IRQ_SET_ACTION_UNMASK(), 0));
    }

    private int set(int action, int start, List<EventFd> eventFds) {
        check(start, eventFds.size());
        eventFds.forEach(eventFd -> OneKernel.require(device.fd(), eventFd.fd()));
        return FileDescriptor.lend(eventFds.stream().map(EventFd::fd).toList(),
                numbers -> setNumbers(action, start, numbers));
    }

    private void clear(int action, int vector) {
        check(vector, 1);
        setNumbers(action, vector, new int[]{NO_EVENTFD});
    }

    private int setNumbers(int action, int start, int[] numbers) {
        try (Arena arena = Arena.ofConfined()) {
            int dataType = vfio_h.VFIO_IRQ_SET_DATA_EVENTFD();
            MemorySegment request = request(arena, dataType | action, start, numbers.length, Integer.BYTES);
            MemorySegment.copy(numbers, 0, request, ValueLayout.JAVA_INT, vfio_irq_set.sizeof(), numbers.length);
            return call(request, () -> "start=" + start + ", eventfds=" + Arrays.toString(numbers));
        }
    }

    private void set(String what, int action, int start, int vectors) {
        try (Arena arena = Arena.ofConfined()) {
            call(request(arena, vfio_h.VFIO_IRQ_SET_DATA_NONE() | action, start, vectors, 0),
                    () -> what + ", start=" + start + ", count=" + vectors);
        }
    }

    private MemorySegment request(Arena arena, int setFlags, int start, int vectors, int bytesEach) {
        long size = vfio_irq_set.sizeof() + (long) vectors * bytesEach;
        MemorySegment request = arena.allocate(size, Integer.BYTES);
        vfio_irq_set.argsz(request, (int) size);
        vfio_irq_set.flags(request, setFlags);
        vfio_irq_set.index(request, index);
        vfio_irq_set.start(request, start);
        vfio_irq_set.count(request, vectors);
        return request;
    }

    private int call(MemorySegment request, Supplier<String> arguments) {
        int result = device.fd().ioctl(SET_IRQS, request);
        if (result < 0) {
            throw new KernelException(SET_IRQS.name(), this, arguments.get(), result,
                    Errno.EINVAL.is(result) ? Remedy.of(this::otherEnabled) : "");
        }
        return result;
    }

    private String otherEnabled() {
        return device.interrupts().stream()
                .filter(other -> other != this && other.isEnabled() && EXCLUSIVE.contains(index)
                        && EXCLUSIVE.contains(other.index))
                .map(other -> other.name() + " is enabled, and a device has one kind at a time: disable it first")
                .findFirst().orElse("");
    }

    private void check(int start, int vectors) {
        if (start < 0 || vectors > count - start) {
            throw new IllegalArgumentException(
                    "vector " + (start + vectors - 1) + " is beyond the " + count + " of " + this);
        }
    }

    /**
     * What people call it.
     *
     * @return such as {@code MSI-X}
     */
    public String name() {
        return index < NAMES.size() ? NAMES.get(index) : "interrupt " + index;
    }

    @Override
    public String toString() {
        return name() + " of " + device + ", " + count + (count == 1 ? " vector" : " vectors")
                + (isMaskable() ? ", maskable" : "") + (isAutomasked() ? ", automasked" : "");
    }
}
