package dev.kvmvfio.kvm;

import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.internal.ArchitectureAccess;
import dev.kvmvfio.internal.DeviceNode;
import dev.kvmvfio.internal.Interruptions;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.FileHandle;
import dev.kvmvfio.kernel.FileKind;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.KvmVfioException;
import dev.kvmvfio.kvm.x86.X86Kvm;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * {@code /dev/kvm}: where virtual machines come from.
 *
 * <p>The file belongs to this object, and so do the VMs created from it: closing it closes them first.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class Kvm extends FileHandle {
    /** Where Linux has KVM. */
    public static final String PATH = "/dev/kvm";

    private static final Ioctl GET_API_VERSION = new Ioctl("KVM_GET_API_VERSION", kvm_h.KVM_GET_API_VERSION());
    private static final Ioctl CHECK_EXTENSION = new Ioctl("KVM_CHECK_EXTENSION", kvm_h.KVM_CHECK_EXTENSION());
    private static final Ioctl CREATE_VM = new Ioctl("KVM_CREATE_VM", kvm_h.KVM_CREATE_VM());

    private static final Ioctl GET_VCPU_MMAP_SIZE = new Ioctl("KVM_GET_VCPU_MMAP_SIZE",
            kvm_h.KVM_GET_VCPU_MMAP_SIZE());

    /** More than the struct, the port's data and the ring of coalesced writes take with pages of 64 KiB. */
    private static final int LARGEST_VCPU = 1 << 20;

    private final X86Kvm x86;
    private volatile @Nullable Architecture architecture;

    private Kvm(FileDescriptor fd) {
        super(fd, Rank.SYSTEM);
        x86 = ArchitectureAccess.x86().kvm(fd);
    }

    /**
     * Opens {@code /dev/kvm} of the running Linux.
     *
     * @return KVM, owned by the caller
     * @throws KernelException when it cannot be opened; the message says what to do
     * @throws HostException when its API version is not 12
     */
    public static Kvm open() {
        return open(Kernel.linux());
    }

    /**
     * Opens {@code /dev/kvm} and checks {@code KVM_GET_API_VERSION}.
     *
     * @param kernel where to open it
     * @return KVM, owned by the caller
     * @throws KernelException when it cannot be opened; the message says what to do
     * @throws HostException when its API version is not 12
     */
    public static Kvm open(Kernel kernel) {
        FileDescriptor fd = DeviceNode.open(kernel, PATH, Kvm::openRemedy);
        return Lifecycle.complete(Lifecycle.root(new Kvm(fd), fd), Kvm::checkApiVersion);
    }

    /**
     * Why no virtual machine can be made on the running Linux. It tries: it opens {@code /dev/kvm}, makes a VM, and
     * closes both.
     *
     * @return what it was refused with, such as a {@link KernelException}, whose message says what to do; empty when
     *         KVM works
     */
    public static Optional<RuntimeException> unavailabilityCause() {
        try {
            return unavailabilityCause(Kernel.linux());
        } catch (UnsupportedOperationException | IllegalCallerException noLinux) {
            return Optional.of(noLinux);
        }
    }

    /**
     * Why no virtual machine can be made on a kernel. It tries: it opens {@code /dev/kvm}, makes a VM, and closes both.
     *
     * @param kernel where to try
     * @return what it was refused with, such as a {@link KernelException}, whose message says what to do; empty when
     *         KVM works
     */
    public static Optional<RuntimeException> unavailabilityCause(Kernel kernel) {
        try (Kvm kvm = open(kernel); Vm _ = kvm.createVm()) {
            return Optional.empty();
        } catch (KvmVfioException refused) {
            return Optional.of(refused);
        }
    }

    private void checkApiVersion() {
        int version = apiVersion();
        if (version != kvm_h.KVM_API_VERSION()) {
            throw new HostException(PATH + " speaks API version " + version + ", not " + kvm_h.KVM_API_VERSION(),
                    "Every kernel since 2.6.22 speaks 12: check that " + PATH + " is KVM");
        }
    }

    private static String openRemedy(Errno errno) {
        return switch (errno) {
            case ENOENT -> "Switch on virtualisation in the firmware and load the module kvm_intel or kvm_amd; "
                    + "a container needs --device " + PATH;
            case ENODEV, ENXIO -> "The node is there but KVM is not: load the module kvm_intel or kvm_amd";
            default -> "";
        };
    }

    /**
     * {@code KVM_GET_API_VERSION}.
     *
     * @return 12
     * @throws KernelException when the kernel refuses
     */
    public int apiVersion() {
        return fd().call(GET_API_VERSION, 0);
    }

    /**
     * {@code KVM_CHECK_EXTENSION} on the system. Many capabilities are told more exactly by
     * {@link Vm#checkExtension}.
     *
     * @param capability one of the {@code KVM_CAP_} numbers
     * @return 0 when the kernel does not have it, otherwise 1 or a number that the capability defines
     * @throws KernelException when the kernel refuses
     */
    public int checkExtension(int capability) {
        return fd().call(CHECK_EXTENSION, capability);
    }

    /**
     * What KVM tells about the host's processors on x86-64.
     *
     * @return what asks for it
     * @throws UnsupportedOperationException on another architecture
     * @throws KernelException when the kernel refuses to say which one it is
     */
    public X86Kvm x86() {
        if (architecture() != Architecture.X86_64) {
            throw new UnsupportedOperationException(this + " is not of x86-64");
        }
        return x86;
    }

    /** It does not change, so it is asked for once, when it is first wanted. */
    Architecture architecture() {
        Architecture known = architecture;
        if (known == null) {
            known = Architecture.of(this);
            architecture = known;
        }
        return known;
    }

    int vcpuMmapSize() {
        int size = fd().call(GET_VCPU_MMAP_SIZE, 0);
        if (size < kvm_run.sizeof() || size > LARGEST_VCPU) {
            throw new AnswerException(GET_VCPU_MMAP_SIZE.name(), fd(),
                    size + " bytes, which is not " + kvm_run.sizeof() + " to " + LARGEST_VCPU);
        }
        return size;
    }

    /**
     * {@code KVM_CREATE_VM} of the default type.
     *
     * @return a VM without memory, vCPUs or devices; it belongs to this object
     * @throws KernelException when the kernel refuses
     */
    public Vm createVm() {
        return createVm(0);
    }

    /**
     * {@code KVM_CREATE_VM}.
     *
     * @param type the architecture's machine type; on aarch64 the number of bits of a guest-physical address, 0 for 40
     * @return a VM without memory, vCPUs or devices; it belongs to this object
     * @throws KernelException when the kernel refuses; {@code EINVAL} for an unknown type
     */
    public Vm createVm(long type) {
        return Lifecycle.lease(this, () -> makeVm(type));
    }

    private Vm makeVm(long type) {
        long since = System.nanoTime();
        long tries = 0;
        int result;
        do {
            result = fd().ioctl(CREATE_VM, type);
            tries++;
        } while (Errno.EINTR.is(result) && !Interruptions.areTooMany(tries, since));
        if (result < 0) {
            String remedy = Errno.EPERM.is(result)
                    ? "A seccomp profile or a security module refuses it: a container needs --security-opt seccomp= "
                            + "with a profile that allows ioctl"
                    : "";
            throw new KernelException(CREATE_VM.name(), fd(), "type=" + type, result, remedy);
        }
        return Lifecycle.adopt(new Vm(this, FileDescriptor.own(fd().kernel(), result, FileKind.VM, "VM")), this);
    }
}
