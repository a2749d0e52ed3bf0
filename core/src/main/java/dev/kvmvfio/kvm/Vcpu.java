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
 *         case VcpuExit.Halt _, VcpuExit.Interrupted _ -> {
 *             return;
 *         }
 *         case VcpuExit exit -> throw vcpu.unhandled(exit);
 *     }
 * }
 * }</pre>
 *
 * <p><b>Thread-safety:</b> {@link #run()} is for the vCPU's thread, as are the exits; all other methods may be called
 * from any thread. Those that make a call on the vCPU, such as for its registers, wait while the guest runs, because
 * the kernel makes one call at a time on a vCPU. Closing, also of the VM, makes a {@code run()} on another thread leave,
 * and waits for that.
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
    private @Nullable Thread thread;
    private volatile int threadId = NOT_BOUND;
    private volatile boolean kicked;

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
        public void whilePaused(Runnable calls) {
            calls.run();
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
     * first.
     *
     * <p>{@link Thread#interrupt} alone does not end it, because the thread is in a system call: call {@link #kick()}
     * too, or {@link dev.kvmvfio.kernel.Kernel#interrupt(int)} with the thread's number.
     *
     * @return why it left the guest; {@link VcpuExit.Interrupted} once after {@link #kick()}, and when a signal came
     *         while this thread is interrupted
     * @throws IllegalStateException on a virtual thread, or on another thread than the first time
     * @throws ClosedException when this vCPU is closed, also while it runs
     * @throws KernelException when the kernel cannot run it; {@code EINTR} or {@code EAGAIN} when it answers nothing
     *         else ten thousand times a second
     * @throws AnswerException when it left for a port or an address with what no guest can write
     */
    public VcpuExit run() {
        return FlightRecorder.isInUse() ? VcpuExitEvent.run(this) : enter();
    }

    VcpuExit enter() {
        if (Thread.currentThread() != thread) {
            bind();
        }
        try {
            return runUntilExit();
        } catch (IllegalStateException gone) {
            // The memory that is shared with the kernel goes when the call has returned, and the exit is read after it.
            throw isOpen() ? gone : new ClosedException(this);
        }
    }

    private VcpuExit runUntilExit() {
        long interruptions = 0;
        long since = 0;
        while (true) {
            int result = fd().ioctl(RUN, MemorySegment.NULL);
            if (!fd().isOpen()) {
                throw new ClosedException(this);
            }
            if (result >= 0) {
                return exits.read();
            }
            if (wasKicked(result)) {
                return VcpuExit.Interrupted.INSTANCE;
            }
            since = interruptions == 0 ? System.nanoTime() : since;
            if (Interruptions.areTooMany(++interruptions, since)) {
                throw new KernelException(RUN.name(), this, result);
            }
        }
    }

    private synchronized void bind() {
        Thread current = Thread.currentThread();
        if (current.isVirtual()) {
            throw new IllegalStateException(this + " cannot run on " + current
                    + ", a virtual thread: a vCPU is one platform thread");
        }
        if (thread != null) {
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
     * Tells a kick from other signals, after which the guest goes on. A kick sets both marks, the vCPU's own first, and
     * here they are taken in the other order: a kick that comes between is found now or by the next KVM_RUN.
     */
    private boolean wasKicked(int result) {
        if (Errno.EINTR.is(result)) {
            BYTE.setVolatile(shared.segment(), IMMEDIATE_EXIT, (byte) 0);
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
     * @throws KernelException when the signal cannot be sent; {@code EBUSY} when the program handles the first
     *         real-time signal itself
     */
    public void kick() {
        kicked = true;
        try {
            BYTE.setVolatile(shared.segment(), IMMEDIATE_EXIT, (byte) 1);
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
                        ? "The program has a handler of its own for the first real-time signal: it must use another"
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
        if (KernelAccess.get().isInUse(fd())) {
            if (shared.isOpen()) {
                BYTE.setVolatile(shared.segment(), IMMEDIATE_EXIT, (byte) 1);
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
            int result = fd().ioctl(call, request);
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
        fd().call(GET_MP_STATE, struct);
        int number = kvm_mp_state.mp_state(struct);
        return MpState.of(number).orElseThrow(() -> new AnswerException(GET_MP_STATE.name(), fd(),
                "a state of " + number + ", which this library does not know"));
    }

    /**
     * {@code KVM_SET_MP_STATE}. On x86-64 without an interrupt controller in the kernel a vCPU is
     * always runnable.
     *
     * @param state what it shall do
     * @throws KernelException when the kernel refuses; {@code EINVAL} for a state that this VM does not have
     */
    public void setMpState(MpState state) {
        MemorySegment struct = kvm_mp_state.allocate(Scratch.begin());
        kvm_mp_state.mp_state(struct, state.number());
        fd().call(SET_MP_STATE, struct);
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
