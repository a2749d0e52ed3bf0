package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.EEXIST;
import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A virtual machine, which lives as long as its own file, a vCPU's, a KVM device's or a VFIO device that was opened
 * for it.
 */
public final class VirtualMachine {
    static final int MOST_VCPU_IDS = 4096;

    private final Machine machine;
    private final MemorySlots slots;
    private final InterruptController interrupts = new InterruptController(this);
    private final IrqFds irqFds;
    private final IoEventFds ioEventFds;
    private final Map<Integer, VcpuFile> vcpus = new LinkedHashMap<>();
    private KvmVfio vfio;
    private int references = 1;

    VirtualMachine(Machine machine) {
        this.machine = machine;
        this.slots = new MemorySlots(machine);
        this.irqFds = new IrqFds(this);
        this.ioEventFds = new IoEventFds(machine);
    }

    Machine machine() {
        return machine;
    }

    public MemorySlots slots() {
        return slots;
    }

    public InterruptController interrupts() {
        return interrupts;
    }

    public IrqFds irqFds() {
        return irqFds;
    }

    public IoEventFds ioEventFds() {
        return ioEventFds;
    }

    public VirtualMachine get() {
        references++;
        return this;
    }

    public void put() {
        if (--references == 0) {
            ioEventFds.clear();
        }
    }

    boolean hasVcpus() {
        return !vcpus.isEmpty();
    }

    boolean hasVcpu(int id) {
        return vcpus.containsKey(id);
    }

    /** The vCPU with that id, or null. */
    public VcpuFile vcpu(int id) {
        return vcpus.get(id);
    }

    /** How many vCPUs run code that can take an interrupt. */
    int runningVcpus() {
        return (int) vcpus.values().stream().filter(VcpuFile::hasProgram).count();
    }

    int createVcpu(long number) {
        // Older kernels look at 32 bits.
        long id = machine.isAtLeast(KernelProfile.V6_12) ? number : number & 0xffff_ffffL;
        Refusal.when(id < 0 || id >= MOST_VCPU_IDS, EINVAL);
        Refusal.when(hasVcpu((int) id), EEXIST);
        VcpuFile vcpu = new VcpuFile(this, (int) id);
        int fd = machine.files().install(vcpu);
        vcpus.put((int) id, vcpu);
        return fd;
    }

    /** The VM's device that tells VFIO about it, or null. */
    KvmVfio vfio() {
        return vfio;
    }

    void setVfio(KvmVfio device) {
        vfio = device;
    }
}
