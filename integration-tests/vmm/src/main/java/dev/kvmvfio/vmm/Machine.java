package dev.kvmvfio.vmm;

import dev.kvmvfio.kernel.GuestException;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.VcpuExit;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.KvmVfioDevice;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A virtual machine with one processor, memory from address 0, the interrupt controllers and the timer of a PC, and a
 * PCI bus for devices of the host.
 *
 * <p>One thread runs the processor; devices can be attached and detached by others meanwhile.
 */
public final class Machine implements AutoCloseable {
    /** Interrupt lines that nothing else in a PC needs. */
    private static final List<Integer> DEVICE_LINES = List.of(10, 11, 5, 9);

    private final Kernel kernel;
    private final Kvm kvm;
    private final Vm vm;
    private final HostMemory ram;
    private final GuestMemory memory;
    private final KvmVfioDevice kvmVfio;
    private final Vcpu vcpu;
    private final IoPorts ports = new IoPorts();
    private final PciBus pci = new PciBus();
    private final Map<String, Integer> exits = new ConcurrentHashMap<>();
    private volatile boolean stopped;

    /**
     * Makes a machine whose processor was not told yet where to begin.
     *
     * @param kernel where the machine runs
     * @param ramSize its memory in bytes, a multiple of the page size
     */
    public Machine(Kernel kernel, long ramSize) {
        this.kernel = kernel;
        ram = HostMemory.allocate(kernel, ramSize);
        try {
            kvm = Kvm.open(kernel);
            vm = kvm.createVm();
            vm.interrupts().createIrqchip();
            vm.x86().createPit();
            memory = GuestMemory.create(vm, 0, ram);
            kvmVfio = KvmVfioDevice.create(vm);
            vcpu = vm.createVcpu(0);
            vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
        } catch (RuntimeException failure) {
            close();
            throw failure;
        }
        ports.add(PciBus.PORT, PciBus.PORTS, pci);
    }

    /**
     * The virtual machine.
     *
     * @return it; it closes with this machine
     */
    public Vm vm() {
        return vm;
    }

    /**
     * The processor, which {@link #run} runs.
     *
     * @return it; it closes with this machine
     */
    public Vcpu vcpu() {
        return vcpu;
    }

    /**
     * The memory at the guest-physical address 0.
     *
     * @return it; it closes with this machine
     */
    public HostMemory ram() {
        return ram;
    }

    /**
     * The I/O ports, to add devices to.
     *
     * @return them
     */
    public IoPorts ports() {
        return ports;
    }

    /**
     * The guest's PCI bus, on which the devices are.
     *
     * @return it
     */
    public PciBus pci() {
        return pci;
    }

    /**
     * How often each kind of exit came, so far.
     *
     * @return the counts, by the names of {@link VcpuExit}'s kinds
     */
    public Map<String, Integer> exits() {
        return Map.copyOf(exits);
    }

    /**
     * The interrupt line of a PCI slot.
     *
     * @param slot where on the guest's PCI bus
     * @return the GSI that INTx of a device there raises
     */
    public static int lineOf(int slot) {
        return DEVICE_LINES.get(slot % DEVICE_LINES.size());
    }

    /**
     * Gives the guest a device of the host.
     *
     * @param address the device's on the host
     * @param by the interface to attach it by
     * @param slot where on the guest's PCI bus
     * @return the device as the guest has it
     */
    public AssignedDevice attach(PciAddress address, VfioInterface by, int slot) {
        AttachedDevice attached = AttachedDevice.request(kernel, address).via(by).attach(memory, kvmVfio);
        try {
            AssignedDevice device = new AssignedDevice(attached, lineOf(slot));
            pci.plug(slot, device);
            return device;
        } catch (RuntimeException failure) {
            attached.close();
            throw failure;
        }
    }

    /**
     * Takes a device from the guest, which should not use it any more, and gives it back to the host.
     *
     * @param device what {@link #attach} gave
     */
    public void detach(AssignedDevice device) {
        pci.unplug(device);
        device.release();
    }

    /**
     * Runs the guest until {@link #stop}, or until this machine is closed.
     *
     * @throws GuestException when the guest crashes, or does what nothing here answers
     */
    public void run() {
        while (!stopped) {
            VcpuExit exit = vcpu.run();
            exits.merge(exit.getClass().getSimpleName(), 1, Integer::sum);
            switch (exit) {
                case VcpuExit.PortRead read -> ports.read(read);
                case VcpuExit.PortWrite write -> ports.write(write);
                case VcpuExit.MmioRead read -> read.answer(pci.readMemory(read.address(), read.size()));
                case VcpuExit.MmioWrite write -> pci.writeMemory(write.address(), write.size(), write.value());
                case VcpuExit.Interrupted _ -> {
                    // Somebody has called stop(), or the processor's thread got a signal.
                }
                case VcpuExit.Closed _ -> {
                    return;
                }
                default -> throw vcpu.unhandled(exit);
            }
        }
    }

    /** Ends {@link #run}, from any thread. */
    public void stop() {
        stopped = true;
        vcpu.kick();
    }

    /** Detaches the devices and ends the virtual machine. */
    @Override
    public void close() {
        try {
            if (kvm != null) {
                kvm.close();
            }
        } finally {
            ram.close();
        }
    }
}
