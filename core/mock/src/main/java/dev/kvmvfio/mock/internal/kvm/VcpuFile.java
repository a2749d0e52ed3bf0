package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EINTR;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENXIO;

import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_enable_cap;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.mock.internal.system.AnonymousFile;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.system.Mapping;
import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Set;
import java.util.function.Consumer;

/** The file of a virtual processor. What it runs is a Java program, the guest's code. */
public final class VcpuFile extends AnonymousFile {
    static final IoctlTable<VcpuFile> IOCTLS = new IoctlTable<>(VcpuFile.class, EINVAL)
            .on("KVM_SET_DEVICE_ATTR", kvm_h.KVM_SET_DEVICE_ATTR(), kvm_device_attr.layout(), VcpuFile::setAttr)
            .on("KVM_GET_DEVICE_ATTR", kvm_h.KVM_GET_DEVICE_ATTR(), kvm_device_attr.layout(), VcpuFile::getAttr)
            .on("KVM_HAS_DEVICE_ATTR", kvm_h.KVM_HAS_DEVICE_ATTR(), kvm_device_attr.layout(), (file, argument) -> {
                tscOffset(argument);
                return 0;
            })
            .on("KVM_RUN", kvm_h.KVM_RUN(), VcpuFile::run)
            .on("KVM_GET_REGS", kvm_x86_64_h.KVM_GET_REGS(), (file, argument) -> file.processor.getRegs(argument))
            .on("KVM_SET_REGS", kvm_x86_64_h.KVM_SET_REGS(), (file, argument) -> file.processor.setRegs(argument))
            .on("KVM_GET_SREGS", kvm_x86_64_h.KVM_GET_SREGS(), (file, argument) -> file.processor.getSregs(argument))
            .on("KVM_SET_SREGS", kvm_x86_64_h.KVM_SET_SREGS(), (file, argument) -> file.processor.setSregs(argument))
            .on("KVM_SET_CPUID2", kvm_x86_64_h.KVM_SET_CPUID2(), VcpuFile::setCpuid)
            .on("KVM_GET_MSRS", kvm_x86_64_h.KVM_GET_MSRS(), (file, argument) -> file.msrs.get(argument))
            .on("KVM_SET_MSRS", kvm_x86_64_h.KVM_SET_MSRS(), (file, argument) -> file.msrs.set(argument))
            .on("KVM_GET_MP_STATE", kvm_h.KVM_GET_MP_STATE(), (file, argument) -> file.processor.getMpState(argument))
            .on("KVM_SET_MP_STATE", kvm_h.KVM_SET_MP_STATE(), (file, argument) -> file.processor.setMpState(argument))
            .on("KVM_ENABLE_CAP", kvm_h.KVM_ENABLE_CAP(), kvm_enable_cap.layout(), VcpuFile::enableCapability)
            .on("KVM_GET_ONE_REG", kvm_h.KVM_GET_ONE_REG(), (file, argument) -> file.registerByNumber())
            .on("KVM_SET_ONE_REG", kvm_h.KVM_SET_ONE_REG(), (file, argument) -> file.registerByNumber())
            .on("KVM_GET_REG_LIST", kvm_h.KVM_GET_REG_LIST(), (file, argument) -> file.registerByNumber())
            .notModelled("KVM_GET_CPUID2", kvm_x86_64_h.KVM_GET_CPUID2())
            .notModelled("KVM_SET_CPUID", kvm_x86_64_h.KVM_SET_CPUID())
            .notModelled("KVM_GET_SREGS2", kvm_x86_64_h.KVM_GET_SREGS2())
            .notModelled("KVM_SET_SREGS2", kvm_x86_64_h.KVM_SET_SREGS2())
            .notModelled("KVM_GET_LAPIC", kvm_x86_64_h.KVM_GET_LAPIC())
            .notModelled("KVM_SET_LAPIC", kvm_x86_64_h.KVM_SET_LAPIC())
            .notModelled("KVM_GET_VCPU_EVENTS", kvm_h.KVM_GET_VCPU_EVENTS())
            .notModelled("KVM_SET_VCPU_EVENTS", kvm_h.KVM_SET_VCPU_EVENTS())
            .notModelled("KVM_GET_FPU", kvm_x86_64_h.KVM_GET_FPU())
            .notModelled("KVM_SET_FPU", kvm_x86_64_h.KVM_SET_FPU())
            .notModelled("KVM_GET_XSAVE", kvm_x86_64_h.KVM_GET_XSAVE())
            .notModelled("KVM_GET_XSAVE2", kvm_x86_64_h.KVM_GET_XSAVE2())
            .notModelled("KVM_SET_XSAVE", kvm_x86_64_h.KVM_SET_XSAVE())
            .notModelled("KVM_GET_XCRS", kvm_x86_64_h.KVM_GET_XCRS())
            .notModelled("KVM_SET_XCRS", kvm_x86_64_h.KVM_SET_XCRS())
            .notModelled("KVM_GET_DEBUGREGS", kvm_x86_64_h.KVM_GET_DEBUGREGS())
            .notModelled("KVM_SET_DEBUGREGS", kvm_x86_64_h.KVM_SET_DEBUGREGS())
            .notModelled("KVM_SET_GUEST_DEBUG", kvm_x86_64_h.KVM_SET_GUEST_DEBUG())
            .notModelled("KVM_TRANSLATE", kvm_h.KVM_TRANSLATE())
            .notModelled("KVM_GET_NESTED_STATE", kvm_x86_64_h.KVM_GET_NESTED_STATE())
            .notModelled("KVM_SET_NESTED_STATE", kvm_x86_64_h.KVM_SET_NESTED_STATE())
            .notModelled("KVM_GET_TSC_KHZ", kvm_h.KVM_GET_TSC_KHZ())
            .notModelled("KVM_SET_TSC_KHZ", kvm_h.KVM_SET_TSC_KHZ())
            .notModelled("KVM_KVMCLOCK_CTRL", kvm_h.KVM_KVMCLOCK_CTRL())
            .notModelled("KVM_INTERRUPT", kvm_h.KVM_INTERRUPT())
            .notModelled("KVM_NMI", kvm_h.KVM_NMI())
            .notModelled("KVM_SMI", kvm_h.KVM_SMI())
            .notModelled("KVM_SET_SIGNAL_MASK", kvm_h.KVM_SET_SIGNAL_MASK())
            .notModelled("KVM_TPR_ACCESS_REPORTING", kvm_h.KVM_TPR_ACCESS_REPORTING())
            .notModelled("KVM_SET_VAPIC_ADDR", kvm_h.KVM_SET_VAPIC_ADDR())
            .notModelled("KVM_X86_SETUP_MCE", kvm_h.KVM_X86_SETUP_MCE())
            .notModelled("KVM_X86_SET_MCE", kvm_x86_64_h.KVM_X86_SET_MCE())
            .notModelled("KVM_PRE_FAULT_MEMORY", kvm_h.KVM_PRE_FAULT_MEMORY())
            .notModelled("KVM_GET_STATS_FD", kvm_h.KVM_GET_STATS_FD())
            .notModelled("KVM_GET_SUPPORTED_HV_CPUID", kvm_x86_64_h.KVM_GET_SUPPORTED_HV_CPUID())
            .notModelled("KVM_XEN_VCPU_GET_ATTR", kvm_x86_64_h.KVM_XEN_VCPU_GET_ATTR())
            .notModelled("KVM_XEN_VCPU_SET_ATTR", kvm_x86_64_h.KVM_XEN_VCPU_SET_ATTR());

    private static final Set<Integer> CAPABILITIES = Set.of(kvm_h.KVM_CAP_HYPERV_SYNIC(),
            kvm_h.KVM_CAP_HYPERV_SYNIC2(), kvm_h.KVM_CAP_HYPERV_ENLIGHTENED_VMCS(),
            kvm_h.KVM_CAP_HYPERV_DIRECT_TLBFLUSH(), kvm_h.KVM_CAP_HYPERV_ENFORCE_CPUID(),
            kvm_h.KVM_CAP_ENFORCE_PV_FEATURE_CPUID());

    private final VirtualMachine vm;
    private final PhysicalMemory.Block run;
    private final Cpuid cpuid;
    private final Msrs msrs;
    private final Processor processor;
    private MemorySegment shared;
    private GuestThread guest;
    private boolean busy;
    private long tscOffset;

    VcpuFile(VirtualMachine vm, int id) {
        super("KVM vCPU " + id);
        this.vm = vm.get();
        this.run = vm.machine().physicalMemory().allocate(KvmSystemFile.VCPU_MMAP_SIZE);
        this.cpuid = new Cpuid(vm.machine());
        this.msrs = new Msrs(cpuid);
        this.processor = new Processor(cpuid, vm.interrupts(), id);
    }

    /** Gives the vCPU the code of its guest. */
    public void program(Consumer<? super GuestThread> program) {
        if (guest != null) {
            throw new IllegalStateException(name() + " has a program already");
        }
        guest = new GuestThread(vm, name(), shared(), program);
        vm.machine().add(guest);
    }

    /** Whether guest code has run, so that its APIC takes interrupts. */
    boolean hasProgram() {
        return guest != null;
    }

    /** {@code struct kvm_run} and the page behind it. */
    private MemorySegment shared() {
        if (shared == null) {
            shared = run.map(0, KvmSystemFile.VCPU_MMAP_SIZE, true, Arena.ofAuto());
        }
        return shared;
    }

    private long enableCapability(Argument argument) {
        MemorySegment capability = argument.read(0, kvm_enable_cap.sizeof());
        int number = kvm_enable_cap.cap(capability);
        Refusal.when(kvm_enable_cap.flags(capability) != 0 || !CAPABILITIES.contains(number), EINVAL);
        throw new NotModelledException("KVM_ENABLE_CAP of a vCPU, capability " + number + ",");
    }

    /** On x86-64 a newcomer. */
    private long registerByNumber() {
        Refusal.when(!vm.machine().isAtLeast(KernelProfile.V7_2), EINVAL);
        throw new NotModelledException("a register by its number");
    }

    private long run(Argument argument) {
        Refusal.when(argument.number() != 0, EINVAL);
        try {
            return enter();
        } finally {
            boolean takesInterrupts = processor.takesInterrupts();
            kvm_run.if_flag(shared, (byte) (takesInterrupts ? 1 : 0));
            kvm_run.ready_for_interrupt_injection(shared,
                    (byte) (takesInterrupts || vm.interrupts().hasChips() ? 1 : 0));
            kvm_run.cr8(shared, processor.cr8());
            kvm_run.apic_base(shared, processor.apicBase());
        }
    }

    private long enter() {
        if (processor.waitsToBeStarted()) {
            awaitStart();
        }
        processor.takePriority(kvm_run.cr8(shared()));
        if (guest == null) {
            refuseImmediateExit(shared);
            throw new NotModelledException("KVM_RUN of " + name()
                    + ", which has no program (kernel.guest(vm).program(id, cpu -> …) gives it one),");
        }
        return guest.run();
    }

    /** Another vCPU's start-up message is not modelled, so only a signal ends this. */
    private void awaitStart() {
        refuseImmediateExit(shared());
        while (true) {
            vm.machine().awaitOrInterrupt(Long.MAX_VALUE);
        }
    }

    static void refuseImmediateExit(MemorySegment run) {
        Refusal.when(kvm_run.immediate_exit(run) != 0, EINTR);
    }

    private long setCpuid(Argument argument) {
        if (guest != null && guest.hasBegun()) {
            throw new NotModelledException("KVM_SET_CPUID2 of a vCPU that has run");
        }
        return cpuid.set(argument);
    }

    @Override
    protected IoctlTable<VcpuFile> ioctls() {
        return IOCTLS;
    }

    /** The kernel makes one call at a time on a vCPU, so others wait until a run ends. */
    @Override
    protected long ioctl(long request, Argument argument) {
        while (busy) {
            vm.machine().await();
        }
        busy = true;
        try {
            return super.ioctl(request, argument);
        } finally {
            busy = false;
            vm.machine().changed();
        }
    }

    private static MemorySegment tscOffset(Argument argument) {
        MemorySegment attr = argument.read(0, kvm_device_attr.sizeof());
        Refusal.when(kvm_device_attr.group(attr) != kvm_x86_64_h.KVM_VCPU_TSC_CTRL()
                || kvm_device_attr.attr(attr) != kvm_x86_64_h.KVM_VCPU_TSC_OFFSET(), ENXIO);
        return attr;
    }

    private long setAttr(Argument argument) {
        long address = kvm_device_attr.addr(tscOffset(argument));
        tscOffset = argument.memory().read(address, Long.BYTES).get(ValueLayout.JAVA_LONG, 0);
        return 0;
    }

    private long getAttr(Argument argument) {
        long address = kvm_device_attr.addr(tscOffset(argument));
        MemorySegment value = Argument.allocate(Long.BYTES);
        value.set(ValueLayout.JAVA_LONG, 0, tscOffset);
        argument.memory().write(address, value);
        return 0;
    }

    @Override
    protected Mapping mmap(MappingRequest request) {
        if (request.offset() + request.length() > KvmSystemFile.VCPU_MMAP_SIZE) {
            throw new NotModelledException("a mapping of pages that a vCPU does not have, whose use is fatal,");
        }
        return new Mapping(run, request.offset(), request.length(), request.writable(), this);
    }

    @Override
    protected void release() {
        if (guest != null) {
            guest.stop();
        }
        run.put();
        vm.put();
    }
}
