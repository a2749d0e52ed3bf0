package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_mp_state;
import dev.kvmvfio.bindings.kvm.kvm_one_reg;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.internal.ArchitectureAccess;
import dev.kvmvfio.internal.FlightRecorder;
import dev.kvmvfio.internal.Interruptions;
import dev.kvmvfio.internal.KernelAccess;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.NativeMemory;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Remedy;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.internal.VcpuAccess;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.GuestException;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.aarch64.Aarch64Vcpu;
import dev.kvmvfio.kvm.x86.X86Vcpu;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.lang.ref.Reference;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A virtual processor. It belongs to the VM that created it.
 *
 * <p>A vCPU is one platform thread: the first {@link #run()} binds it to the thread that calls it. A guest keeps its
 * thread in a system call for as long as it likes, so virtual threads are refused. Its loop:
 *
 * <pre>{@code
 * while (true) {
 *     switch (vcpu.run()) {
 *         case VcpuExit.PortWrite out when out.port() == 0x3f8 -> System.out.print((char) out.value());
 *         case VcpuExit.PortRead in -> in.answer(0xff);
 *         case VcpuExit.MmioRead read -> read.answer(0);
 *         case VcpuExit.Halt _, VcpuExit.Interrupted _, VcpuExit.Closed _ -> {
 *             return;
 *         }
 *         case VcpuExit exit -> throw vcpu.unhandled(exit);
 *     }
 * }
 * }</pre>
 *
 * <p><b>Thread-safety:</b> {@link #run()} and {@link #unbind()} are for the vCPU's thread, as are the exits; all other
 * methods may be called from any thread. What reads or writes the vCPU's state on another thread, such as its registers,
 * is done within a {@link #pause()} of its own, so that what is read, changed and written back is not changed between.
 * What reads or writes an attribute waits until the guest leaves. Closing, also of the VM, makes a {@code run()} on another
 * thread leave, and waits for that.
 */
public final class Vcpu extends KvmFile {
    private static final Ioctl RUN = new Ioctl("KVM_RUN", kvm_h.KVM_RUN());
    private static final Ioctl GET_ONE_REG = new Ioctl("KVM_GET_ONE_REG", kvm_h.KVM_GET_ONE_REG());
    private static final Ioctl SET_ONE_REG = new Ioctl("KVM_SET_ONE_REG", kvm_h.KVM_SET_ONE_REG());
    private static final Ioctl GET_MP_STATE = new Ioctl("KVM_GET_MP_STATE", kvm_h.KVM_GET_MP_STATE());
    private static final Ioctl SET_MP_STATE = new Ioctl("KVM_SET_MP_STATE", kvm_h.KVM_SET_MP_STATE());

    private static final VarHandle BYTE = ValueLayout.JAVA_BYTE.varHandle();
    private static final VarHandle KICKED = kicked();
    private static final long IMMEDIATE_EXIT = kvm_run.immediate_exit$offset();
    private static final int NOT_BOUND = 0;

    private final Vm vm;
    private final int id;
    private final KvmRun shared;
    private final ExitReader exits;
    private final X86Vcpu x86;
    private final Aarch64Vcpu aarch64;
    private final Pauses pauses = new Pauses(this);
    private volatile @Nullable Thread thread;
    private volatile int threadId = NOT_BOUND;
    private volatile boolean kicked;
    private boolean toldOfClose;
    /** What completing an exit has led to, which run() answers next. */
    private @Nullable VcpuExit next;

    Vcpu(Vm vm, FileDescriptor fd, int id, KvmRun shared) {
        super(fd, Rank.FILE);
        this.vm = vm;
        this.id = id;
        this.shared = Lifecycle.adopt(shared, this);
        this.exits = new ExitReader(this, shared.segment());
        VcpuAccess access = new Access();
        this.x86 = ArchitectureAccess.x86().vcpu(access);
        this.aarch64 = ArchitectureAccess.aarch64().vcpu(access);
    }

    /** What the facets see. */
    private final class Access implements VcpuAccess {
        @Override
        public FileDescriptor fd() {
            return Vcpu.this.fd();
        }

        @Override
        public int id() {
            return id;
        }

        @Override
        public FileDescriptor vm() {
            return vm.fd();
        }

        @Override
        public int read(Ioctl call, MemorySegment argument) {
            return Vcpu.this.read(call, argument);
        }

        @Override
        public int write(Ioctl call, MemorySegment argument) {
            return Vcpu.this.write(call, argument);
        }

        @Override
        public void update(Runnable calls) {
            Vcpu.this.update(calls);
        }
    }

    private static VarHandle kicked() {
        try {
            return MethodHandles.lookup().findVarHandle(Vcpu.class, "kicked", boolean.class);
        } catch (ReflectiveOperationException impossible) {
            throw new ExceptionInInitializerError(impossible);
        }
    }

    /**
     * The number that it was created with.
     *
     * @return unique within its VM
     */
    public int id() {
        return id;
    }

    /**
     * {@code KVM_RUN}: runs the guest until it needs the program. What the last exit was answered with takes effect
     * first. While the vCPU is {@linkplain #pause() paused} it waits here.
     *
     * <p>{@link Thread#interrupt} alone does not end it, because the thread is in a system call: call {@link #kick()}
     * too, or {@link dev.kvmvfio.kernel.Kernel#interrupt(int)} with the thread's number.
     *
     * @return why it left the guest; {@link VcpuExit.Interrupted} once after {@link #kick()}, and when a signal came
     *         while this thread is interrupted; {@link VcpuExit.Closed} once when this vCPU was closed since it began its
     *         last run, so that a loop can end
     * @throws IllegalStateException on a virtual thread, on another thread than the first time, which neither has ended
     *         nor called {@link #unbind()}, or on a thread that pauses this vCPU itself
     * @throws ClosedException when this vCPU is closed and this thread was told, or did not run it
     * @throws KernelException when the kernel cannot run it; {@code EINTR} or {@code EAGAIN} when it answers nothing
     *         else ten thousand times a second
     * @throws AnswerException when it left for a port or an address with what no guest can write
     */
    public VcpuExit run() {
        return FlightRecorder.isInUse() ? VcpuExitEvent.run(this) : enter();
    }

    VcpuExit enter() {
        if (!fd().isOpen()) {
            return closed();
        }
        if (Thread.currentThread() != thread) {
            bind();
        }
        try {
            return next == null ? runUntilExit() : takeNext();
        } catch (IllegalStateException gone) {
            // The memory that is shared with the kernel goes when the call has returned, and the exit is read after it.
            if (fd().isOpen()) {
                throw gone;
            }
            return closed();
        }
    }

    /** Once: a loop that goes on all the same would never end. */
    private VcpuExit closed() {
        if (toldOfClose || !isOwn()) {
            throw new ClosedException(this);
        }
        toldOfClose = true;
        return VcpuExit.Closed.INSTANCE;
    }

    private void requireFile() {
        if (!fd().isOpen()) {
            throw new ClosedException(this);
        }
    }

    private VcpuExit takeNext() {
        VcpuExit exit = Objects.requireNonNull(next);
        next = null;
        return exit;
    }

    private VcpuExit runUntilExit() {
        long interruptions = 0;
        long since = 0;
        while (true) {
            if (!pauses.enterRun()) {
                interruptions = 0;
                waitWhilePaused();
                if (next != null) {
                    return takeNext();
                }
                continue;
            }
            int where = Pauses.OUT;
            try {
                int result = fd().ioctl(RUN, MemorySegment.NULL);
                requireFile();
                if (result >= 0) {
                    VcpuExit exit = exits.read();
                    where = exits.where(exit);
                    return exit;
                }
                if (wasKicked(result)) {
                    return VcpuExit.Interrupted.INSTANCE;
                }
                since = interruptions == 0 ? System.nanoTime() : since;
                if (Interruptions.areTooMany(++interruptions, since)) {
                    throw new KernelException(RUN.name(), this, result);
                }
            } finally {
                pauses.leaveRun(where);
            }
        }
    }

    /** Until it is resumed, or until completing the last exit has led to another one. */
    private void waitWhilePaused() {
        // Who goes on has answered, perhaps in kvmRun().
        pauses.answered();
        complete();
        if (next == null) {
            pauses.awaitResume();
            requireFile();
        }
    }

    /** Lets KVM take the answer to an exit, on this vCPU's thread, without going on with the guest. */
    private void complete() {
        if (!pauses.isIncomplete(completesWrites())) {
            return;
        }
        setImmediateExit((byte) 1);
        int result = fd().ioctl(RUN, MemorySegment.NULL);
        if (result >= 0) {
            next = exits.read();
            pauses.leaveRun(exits.where(next));
        } else if (Errno.EINTR.is(result)) {
            pauses.leaveRun(Pauses.OUT);
        } else {
            throw new KernelException(RUN.name(), this, "", result, runRemedy(Errno.of(-result)));
        }
    }

    /** Whether KVM changes registers after it told of a write: on x86-64 it takes them as they are. */
    boolean completesWrites() {
        return vm.architecture() != Architecture.X86_64;
    }

    private void setImmediateExit(byte value) {
        try {
            BYTE.setVolatile(shared.segment(), IMMEDIATE_EXIT, value);
        } catch (IllegalStateException gone) {
            throw new ClosedException(this);
        }
    }

    private synchronized void bind() {
        Thread current = Thread.currentThread();
        if (current.isVirtual()) {
            throw new IllegalStateException(this + " cannot run on " + current
                    + ", a virtual thread: a vCPU is one platform thread");
        }
        if (hasThread()) {
            throw new IllegalStateException(this + " runs on " + thread + " only, and was called from " + current);
        }
        int number = fd().kernel().threadId();
        if (number < 0) {
            throw new KernelException("gettid", current, number);
        }
        threadId = number;
        thread = current;
    }

    /**
     * Lets go of this vCPU's thread, which calls it: the next {@link #run()} binds the vCPU to the thread that calls that.
     * A thread that has ended has let go. An exit that was answered is completed first.
     *
     * @throws IllegalStateException on another thread, or within a call that this vCPU makes
     * @throws KernelException when the kernel cannot complete the exit
     * @throws ClosedException when this vCPU is closed and an exit was to be completed
     */
    public void unbind() {
        if (!isOwn()) {
            throw new IllegalStateException(this + " is bound to " + thread + ", and not to " + Thread.currentThread());
        }
        requireOutOfRun();
        complete();
        threadId = NOT_BOUND;
        thread = null;
    }

    /** Whether there is a thread that may go on to run this vCPU. */
    boolean hasThread() {
        Thread bound = thread;
        return bound != null && bound.isAlive();
    }

    private boolean isOwn() {
        return Thread.currentThread() == thread;
    }

    /**
     * Keeps the guest from running, from when this returns until the pause is closed. A {@link #run()} that goes on leaves
     * the guest, by a signal, and waits; one that begins waits too. It does not wait for the program to answer an exit; see
     * {@link Pause} for what can be done then.
     *
     * <p>Where the vCPU's thread has answered an exit and has not called {@code run()} again, this waits until it does, so
     * that the registers are those after the instruction. An interrupt of the calling thread ends this wait, not the pause,
     * and stays set. On the vCPU's own thread nothing waits: it completes the exit itself.
     *
     * @return the pause, to be closed by any thread
     * @throws IllegalStateException within a {@code KVM_RUN} of the same thread, such as in an observer of that call
     * @throws ClosedException when this vCPU is closed, also meanwhile
     * @throws KernelException when the signal cannot be sent, as {@link #kick()}
     */
    public Pause pause() {
        return pause(vm, List.of(this));
    }

    static Pause pause(Vm vm, List<Vcpu> vcpus) {
        // Two threads that pause each other's vCPU would wait for each other.
        for (Vcpu own : Lifecycle.children(vm, Vcpu.class)) {
            if (own.isOwn()) {
                own.requireOutOfRun();
                own.complete();
            }
        }
        Pause pause = new Pause(vcpus);
        int begun = 0;
        try {
            for (Vcpu vcpu : vcpus) {
                vcpu.pauses.begin();
                begun++;
                vcpu.callOut();
            }
            vcpus.forEach(vcpu -> vcpu.pauses.awaitOut(true));
            return pause;
        } catch (Throwable failure) {
            vcpus.subList(0, begun).forEach(vcpu -> vcpu.resume(Thread.currentThread()));
            throw failure;
        }
    }

    private void requireOutOfRun() {
        if (pauses.isInRun()) {
            throw new IllegalStateException(
                    this + " is in KVM_RUN on this thread, which can pause or unbind no vCPU there");
        }
    }

    /** Makes the thread leave KVM_RUN, or not enter the guest. */
    private void callOut() {
        requireFile();
        if (pauses.isInRun()) {
            interruptRun();
        }
    }

    void resume(Thread holder) {
        pauses.end(holder);
    }

    /** A call that reads this vCPU's state. */
    private int read(Ioctl call, MemorySegment argument) {
        if (isOwn()) {
            return fd().ioctl(call, argument);
        }
        pauses.begin();
        try {
            callOut();
            pauses.awaitOut(false);
            return fd().ioctl(call, argument);
        } finally {
            pauses.end(Thread.currentThread());
        }
    }

    /** A call that writes to this vCPU's state. */
    private int write(Ioctl call, MemorySegment argument) {
        boolean first = beginWrite();
        try {
            return fd().ioctl(call, argument);
        } finally {
            endWrite(first);
        }
    }

    /** Calls that read this vCPU's state and write it back. */
    private void update(Runnable calls) {
        boolean first = beginWrite();
        try {
            calls.run();
        } finally {
            endWrite(first);
        }
    }

    private boolean beginWrite() {
        if (isOwn()) {
            if (!pauses.isInRun()) {
                complete();
            }
            return pauses.beginWrite();
        }
        pauses.begin();
        try {
            callOut();
            pauses.awaitOut(true);
            return pauses.beginWrite();
        } catch (Throwable refused) {
            pauses.end(Thread.currentThread());
            throw refused;
        }
    }

    private void endWrite(boolean first) {
        if (first) {
            pauses.endWrite();
        }
        if (!isOwn()) {
            pauses.end(Thread.currentThread());
        }
    }

    /** The exit is answered: it is completed by the next KVM_RUN, or by what needs that earlier. */
    void answered() {
        pauses.answered();
    }

    /** The exit that the program has now. */
    VcpuExit exit() {
        return exits.read();
    }

    /**
     * Tells a kick from other signals, after which the guest goes on. A kick sets both marks, the vCPU's own first, and
     * here they are taken in the other order: a kick that comes between is found now or by the next KVM_RUN.
     */
    private boolean wasKicked(int result) {
        if (Errno.EINTR.is(result)) {
            setImmediateExit((byte) 0);
            return (boolean) KICKED.getAndSet(this, false) || Thread.currentThread().isInterrupted();
        }
        // An application processor answers EAGAIN when another one has started it.
        if (Errno.EAGAIN.is(result)) {
            return false;
        }
        throw new KernelException(RUN.name(), this, "", result, runRemedy(Errno.of(-result)));
    }

    private static String runRemedy(Errno errno) {
        return switch (errno) {
            case EFAULT -> "The guest reached memory that the program cannot: a memory slot whose pages are gone or "
                    + "may not be accessed so";
            case ENOEXEC -> "On aarch64 a vCPU must be initialised first: call aarch64().init()";
            default -> "";
        };
    }

    /**
     * Makes {@link #run()} answer {@link VcpuExit.Interrupted}, at once when it runs, otherwise the next time. Several
     * kicks before that answer count as one. What was written before the kick is seen after the answer.
     *
     * @throws ClosedException when this vCPU is closed
     * @throws KernelException when the signal cannot be sent; {@code EBUSY} when something else in the process handles
     *         it: see {@link dev.kvmvfio.kernel.Kernel#interrupt(int)}
     */
    public void kick() {
        kicked = true;
        interruptRun();
    }

    private void interruptRun() {
        try {
            setImmediateExit((byte) 1);
        } catch (IllegalStateException gone) {
            throw new ClosedException(this);
        }
        interrupt();
    }

    /** A run that begins later sees the mark, so only one that has begun needs the signal. */
    private void interrupt() {
        int number = threadId;
        if (number != NOT_BOUND && KernelAccess.get().isInUse(fd())) {
            int result = fd().kernel().interrupt(number);
            if (result < 0 && !Errno.ESRCH.is(result)) {
                throw new KernelException("tgkill", this, "thread=" + number, result, Errno.EBUSY.is(result)
                        ? "Something else in this process handles the signal: choose another with "
                                + "-Ddev.kvmvfio.signal=NUMBER"
                        : "");
            }
        }
    }

    /** From here no run begins, and the one that goes on ends; it may have been about to begin when it was told so. */
    @Override
    protected boolean quiesce() {
        stop();
        return KernelAccess.get().isGivenBack(fd());
    }

    void stop() {
        fd().close();
        pauses.wake();
        if (KernelAccess.get().isInUse(fd())) {
            try {
                setImmediateExit((byte) 1);
            } catch (ClosedException gone) {
                // The signal alone ends a run that has begun.
            }
            interrupt();
        }
    }

    /**
     * The memory that is shared with the kernel: {@code struct kvm_run}, and what its offsets point to. For exits and
     * fields that this library does not wrap; only the vCPU's thread may use it.
     *
     * @return memory that throws {@link IllegalStateException} once this vCPU is closed
     */
    public MemorySegment kvmRun() {
        return shared.segment();
    }

    /**
     * What this vCPU has on x86-64, such as its registers.
     *
     * @return what reads and writes it
     * @throws UnsupportedOperationException on another architecture
     * @throws KernelException when the kernel refuses to say which one it is
     */
    public X86Vcpu x86() {
        if (vm.architecture() != Architecture.X86_64) {
            throw new UnsupportedOperationException(this + " is not of x86-64: its registers are read with oneReg");
        }
        return x86;
    }

    /**
     * What this vCPU has on aarch64.
     *
     * @return what reads and writes it
     * @throws UnsupportedOperationException on another architecture
     * @throws KernelException when the kernel refuses to say which one it is
     */
    public Aarch64Vcpu aarch64() {
        if (vm.architecture() != Architecture.AARCH64) {
            throw new UnsupportedOperationException(this + " is not of aarch64");
        }
        return aarch64;
    }

    /**
     * {@code KVM_GET_ONE_REG}, on architectures that number their registers, such as aarch64.
     *
     * @param register the register's number, which says its size as well
     * @param value native memory of that size, for its value
     * @throws IllegalArgumentException when it is of another size, on Java's heap or read-only
     * @throws KernelException when the kernel refuses; {@code ENOENT} when there is no such register
     */
    public void oneReg(long register, MemorySegment value) {
        NativeMemory.requireWritable(value, GET_ONE_REG.name(), fd());
        oneReg(GET_ONE_REG, register, value);
    }

    /**
     * {@code KVM_SET_ONE_REG}, on architectures that number their registers, such as aarch64.
     *
     * @param register the register's number, which says its size as well
     * @param value native memory of that size, with its value
     * @throws IllegalArgumentException when it is of another size or on Java's heap
     * @throws IllegalStateException while an exit is not answered; see {@link Pause}
     * @throws KernelException when the kernel refuses; {@code ENOENT} when there is no such register
     */
    public void setOneReg(long register, MemorySegment value) {
        NativeMemory.require(value, SET_ONE_REG.name(), fd());
        oneReg(SET_ONE_REG, register, value);
    }

    private void oneReg(Ioctl call, long register, MemorySegment value) {
        long size = 1L << ((register & kvm_h.KVM_REG_SIZE_MASK()) >>> kvm_h.KVM_REG_SIZE_SHIFT());
        if (value.byteSize() != size) {
            throw new IllegalArgumentException(
                    String.format("register 0x%x of %s has %d bytes, and this segment has %d",
                            register, fd(), size, value.byteSize()));
        }
        // Not the thread's scratch memory: the value may be there.
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = kvm_one_reg.allocate(arena);
            kvm_one_reg.id(request, register);
            kvm_one_reg.addr(request, value.address());
            int result = call == GET_ONE_REG ? read(call, request) : write(call, request);
            if (result < 0) {
                throw new KernelException(call.name(), fd(), String.format("id=0x%x", register), result, "");
            }
        } finally {
            // Until here, because the address alone keeps nothing.
            Reference.reachabilityFence(value);
        }
    }

    /**
     * {@code KVM_GET_MP_STATE}.
     *
     * @return what the vCPU does
     * @throws KernelException when the kernel refuses
     * @throws AnswerException when the kernel has another word for it than this library
     */
    public MpState mpState() {
        MemorySegment struct = kvm_mp_state.allocate(Scratch.begin());
        requireDone(GET_MP_STATE, read(GET_MP_STATE, struct));
        int number = kvm_mp_state.mp_state(struct);
        return MpState.of(number).orElseThrow(() -> new AnswerException(GET_MP_STATE.name(), fd(),
                "a state of " + number + ", which this library does not know"));
    }

    /**
     * {@code KVM_SET_MP_STATE}. On x86-64 without an interrupt controller in the kernel a vCPU is
     * always runnable.
     *
     * @param state what it shall do
     * @throws IllegalStateException while an exit is not answered; see {@link Pause}
     * @throws KernelException when the kernel refuses; {@code EINVAL} for a state that this VM does not have
     */
    public void setMpState(MpState state) {
        MemorySegment struct = kvm_mp_state.allocate(Scratch.begin());
        kvm_mp_state.mp_state(struct, state.number());
        requireDone(SET_MP_STATE, write(SET_MP_STATE, struct));
    }

    private void requireDone(Ioctl call, int result) {
        if (result < 0) {
            throw new KernelException(call.name(), fd(), result);
        }
    }

    /**
     * An exception for an exit that the program has no answer to. It says what the guest did, where, and what helps.
     *
     * @param exit what {@link #run()} answered last
     * @return the exception, to be thrown
     */
    public GuestException unhandled(VcpuExit exit) {
        return new GuestException(this + ": " + exit + place() + " is not handled", unhandledRemedy(exit));
    }

    private String place() {
        return Remedy.of(() -> vm.architecture() == Architecture.X86_64
                ? String.format(" at rip 0x%x", ArchitectureAccess.x86().instructionPointer(x86))
                : "");
    }

    private static String unhandledRemedy(VcpuExit exit) {
        return switch (exit) {
            case VcpuExit.PortRead _, VcpuExit.PortWrite _ -> "Answer for this port in the program's loop";
            case VcpuExit.MmioRead _, VcpuExit.MmioWrite _ ->
                "Add a memory slot for this address, or answer for it in the program's loop";
            case VcpuExit.Closed _ -> "Let the loop end where the vCPU is closed";
            case VcpuExit.Halt _ -> "The guest waits for an interrupt: create an irqchip, or inject one";
            case VcpuExit.Shutdown _ -> "An exception could not be delivered: check the guest's page tables, its "
                    + "interrupt table and its stack";
            case VcpuExit.FailEntry _ -> "The processor does not accept the state of the guest: check the special "
                    + "registers";
            case VcpuExit.InternalError _ -> "KVM cannot go on here: look at the instruction and at the mode of the "
                    + "processor";
            default -> "Add a case for it to the program's loop";
        };
    }
}
