package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.internal.ArchitectureAccess;
import dev.kvmvfio.internal.Failures;
import dev.kvmvfio.internal.KernelAccess;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.internal.Scratch;
import dev.kvmvfio.internal.VmAccess;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.FileKind;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.x86.X86Vm;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.OptionalLong;

/**
 * A virtual machine. Its vCPUs, devices and memory slots belong to it and are closed before it.
 *
 * <p>Only the process that created it may use it; a child process gets {@code EIO}.
 */
public final class Vm extends KvmFile {
    private static final Ioctl CHECK_EXTENSION = new Ioctl("KVM_CHECK_EXTENSION", kvm_h.KVM_CHECK_EXTENSION());
    private static final Ioctl CREATE_VCPU = new Ioctl("KVM_CREATE_VCPU", kvm_h.KVM_CREATE_VCPU());
    private static final Ioctl CREATE_DEVICE = new Ioctl("KVM_CREATE_DEVICE", kvm_h.KVM_CREATE_DEVICE());

    private final Kvm kvm;
    private final VmMemory memory = new VmMemory(this);
    private final VmInterrupts interrupts = new VmInterrupts(this);
    private final X86Vm x86;

    Vm(Kvm kvm, FileDescriptor fd) {
        super(fd, Rank.VM);
        this.kvm = kvm;
        this.x86 = ArchitectureAccess.x86().vm(new Access());
    }

    /** What the facets see. */
    private final class Access implements VmAccess {
        @Override
        public FileDescriptor fd() {
            return Vm.this.fd();
        }

        @Override
        public void startRoutes(int reserved) {
            interrupts.table().start(reserved);
        }
    }

    /**
     * This VM's memory.
     *
     * @return what adds to it
     */
    public VmMemory memory() {
        return memory;
    }

    /**
     * This VM's interrupts.
     *
     * @return what makes and routes them
     */
    public VmInterrupts interrupts() {
        return interrupts;
    }

    /**
     * What this VM has on x86-64.
     *
     * @return what makes and changes it
     * @throws UnsupportedOperationException on another architecture
     * @throws KernelException when the kernel refuses to say which one it is
     */
    public X86Vm x86() {
        if (architecture() != Architecture.X86_64) {
            throw new UnsupportedOperationException(this + " is not of x86-64");
        }
        return x86;
    }

    /**
     * {@code KVM_CHECK_EXTENSION} on this VM.
     *
     * @param capability one of the {@code KVM_CAP_} numbers
     * @return 0 when the kernel does not have it, otherwise 1 or a number that the capability defines
     * @throws KernelException when the kernel refuses
     */
    public int checkExtension(int capability) {
        return fd().call(CHECK_EXTENSION, capability);
    }

    /**
     * {@code KVM_CREATE_VCPU}, and maps its {@code struct kvm_run} ({@code KVM_GET_VCPU_MMAP_SIZE}).
     *
     * @param id unique within this VM
     * @return the vCPU, which belongs to this VM
     * @throws KernelException when the kernel refuses; {@code EEXIST} when the id is taken, {@code EINVAL} when it is
     *         too large
     * @throws AnswerException when the size of its {@code struct kvm_run} cannot be
     */
    public Vcpu createVcpu(int id) {
        return Lifecycle.lease(this, () -> makeVcpu(id));
    }

    private Vcpu makeVcpu(int id) {
        int result = fd().ioctl(CREATE_VCPU, id);
        if (result < 0) {
            throw new KernelException(CREATE_VCPU.name(), fd(), "id=" + id, result, "");
        }
        FileDescriptor vcpu = KernelAccess.get().own(fd(), result, FileKind.VCPU, "vCPU " + id);
        try {
            KvmRun shared = KvmRun.map(vcpu, kvm.vcpuMmapSize());
            try {
                return Lifecycle.adopt(new Vcpu(this, vcpu, id, shared), this);
            } catch (Throwable failure) {
                new Failures(failure).attempt(shared::close);
                throw failure;
            }
        } catch (Throwable failure) {
            new Failures(failure).attempt(vcpu::close);
            throw failure;
        }
    }

    /**
     * Keeps the guest from running on any vCPU that there is now, as {@link Vcpu#pause()} does on one. All are told before
     * the first is waited for. One that is made meanwhile is not paused.
     *
     * @return the pause, to be closed by any thread
     * @throws IllegalStateException within a {@code KVM_RUN} of the same thread, such as in an observer of that call
     * @throws ClosedException when this VM is closed, or a vCPU meanwhile
     * @throws KernelException when the signal cannot be sent, as {@link Vcpu#kick()}
     */
    public Pause pause() {
        if (!isOpen()) {
            throw new ClosedException(this);
        }
        return Vcpu.pause(this, Lifecycle.children(this, Vcpu.class));
    }

    Architecture architecture() {
        return kvm.architecture();
    }

    /** The vCPUs end before their memory and their devices go, whatever was made first. */
    @Override
    protected boolean quiesce() {
        List<Vcpu> vcpus = Lifecycle.children(this, Vcpu.class);
        Failures failures = new Failures();
        vcpus.forEach(vcpu -> failures.attempt(vcpu::stop));
        failures.throwFirst();
        return Lifecycle.closeAll(vcpus);
    }

    /**
     * {@code KVM_CREATE_DEVICE} with {@code KVM_CREATE_DEVICE_TEST}: asks without creating anything. Needs Linux 3.10.
     *
     * @param type the kind of device
     * @return whether {@link #createDevice} knows it; it may still refuse, for example to create a second one
     * @throws KernelException when the kernel refuses for another reason than not having such a device
     */
    public boolean supports(KvmDeviceType type) {
        MemorySegment request = createDevice(type, kvm_h.KVM_CREATE_DEVICE_TEST());
        int result = fd().ioctl(CREATE_DEVICE, request);
        if (result < 0 && !Errno.ENODEV.is(result)) {
            throw refused(type, result);
        }
        return result == 0;
    }

    /**
     * {@code KVM_CREATE_DEVICE}. Needs Linux 3.10.
     *
     * @param type the kind of device
     * @return the device, which belongs to this VM
     * @throws KernelException when the kernel refuses; {@code ENODEV} when it has no such device, {@code EBUSY} when
     *         this VM has its only one already
     * @throws AnswerException when it does not say which file the device is
     */
    public KvmDevice createDevice(KvmDeviceType type) {
        return Lifecycle.lease(this, () -> makeDevice(type));
    }

    private KvmDevice makeDevice(KvmDeviceType type) {
        MemorySegment request = createDevice(type, 0);
        int result = fd().ioctl(CREATE_DEVICE, request);
        if (result < 0) {
            throw refused(type, result);
        }
        int number = kvm_create_device.fd(request);
        if (number < 0) {
            throw new AnswerException(CREATE_DEVICE.name(), fd(), number + " as the device's file");
        }
        String name = "KVM device " + type;
        return Lifecycle.adopt(new KvmDevice(
                FileDescriptor.own(fd().kernel(), number, FileKind.KVM_DEVICE, name), type),
                this);
    }

    private static MemorySegment createDevice(KvmDeviceType type, int flags) {
        MemorySegment request = kvm_create_device.allocate(Scratch.begin());
        kvm_create_device.type(request, type.number());
        kvm_create_device.flags(request, flags);
        // 0 would be another file of this process.
        kvm_create_device.fd(request, -1);
        return request;
    }

    private KernelException refused(KvmDeviceType type, int result) {
        String remedy = switch (Errno.of(-result)) {
            case ENODEV -> "This kernel has no such device: "
                    + (type == KvmDeviceType.VFIO ? "it needs CONFIG_KVM_VFIO" : "it may be of another architecture");
            case EBUSY -> "This VM has one already and cannot have a second";
            default -> "";
        };
        return new KernelException(CREATE_DEVICE.name(), fd(), "type=" + type, result, remedy);
    }

    /**
     * {@code KVM_IOEVENTFD}: lets a guest's write of any value signal an eventfd.
     *
     * @param eventFd what is signalled; it stays the caller's
     * @param address where the guest writes
     * @param size of the write, in bytes: 1, 2, 4 or 8 (8 not for a port), or 0 for any
     * @return the ioeventfd, which belongs to this VM and to the eventfd
     * @throws IllegalArgumentException when no write has that size, or the eventfd is of another kernel
     * @throws KernelException when the kernel refuses; {@code EEXIST} when there is an ioeventfd for such a write
     */
    public IoEventFd addIoEventFd(EventFd eventFd, IoAddress address, int size) {
        return IoEventFd.assign(this, eventFd, address, size, OptionalLong.empty());
    }

    /**
     * {@code KVM_IOEVENTFD} with {@code KVM_IOEVENTFD_FLAG_DATAMATCH}: lets a guest's write of one value signal an
     * eventfd.
     *
     * @param eventFd what is signalled; it stays the caller's
     * @param address where the guest writes
     * @param size of the write, in bytes: 1, 2, 4 or 8 (8 not for a port)
     * @param dataMatch the value, unsigned and of that size
     * @return the ioeventfd, which belongs to this VM and to the eventfd
     * @throws IllegalArgumentException when no write has that size, the value does not fit in, or the eventfd is of
     *         another kernel
     * @throws KernelException when the kernel refuses; {@code EEXIST} when there is an ioeventfd for such a write
     */
    public IoEventFd addIoEventFd(EventFd eventFd, IoAddress address, int size, long dataMatch) {
        return IoEventFd.assign(this, eventFd, address, size, OptionalLong.of(dataMatch));
    }

    List<IoEventFd> ioEventFds() {
        return Lifecycle.children(this, IoEventFd.class);
    }
}
