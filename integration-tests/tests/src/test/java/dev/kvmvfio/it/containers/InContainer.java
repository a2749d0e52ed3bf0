package dev.kvmvfio.it.containers;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KvmVfioException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MemorySlot;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.HostCheck;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.KvmVfioDevice;
import java.util.List;

/** What runs in the containers: it prints one line that begins with "done" or with "refused". */
public final class InContainer {
    private static final long MEMORY = 1 << 20;

    private InContainer() {
    }

    /**
     * Does what the argument says.
     *
     * @param arguments {@code kvm}, {@code iommufd}, {@code memlock} or {@code doctor}
     */
    public static void main(String[] arguments) {
        try {
            System.out.println("done: " + switch (arguments[0]) {
                case "kvm" -> createVm();
                case "iommufd" -> openIommufd();
                case "memlock" -> pin();
                case "doctor" -> HostCheck.run(Kernel.linux(), MEMORY, List.of("kvm")).getFirst().toString();
                default -> throw new IllegalArgumentException(arguments[0]);
            });
        } catch (KvmVfioException refused) {
            System.out.println("refused: " + refused.getMessage());
        }
    }

    private static String createVm() {
        try (Kvm kvm = Kvm.open();
                Vm vm = kvm.createVm();
                KvmVfioDevice device = KvmVfioDevice.create(vm);
                HostMemory ram = HostMemory.allocate(Kernel.linux(), MEMORY);
                MemorySlot slot = vm.memory().add(0, ram)) {
            vm.createVcpu(0);
            return "version " + kvm.apiVersion() + ", " + device + ", " + slot;
        }
    }

    private static String openIommufd() {
        try (Iommufd iommufd = Iommufd.open()) {
            return iommufd.toString();
        }
    }

    /** The limit is the container's; the device that the memory is for is a mock's, because there is no other. */
    private static String pin() {
        long limit = Kernel.linux().rlimit(system_h.RLIMIT_MEMLOCK());
        PciAddress address = PciAddress.parse("0000:6a:01.0");
        try (MockKernel host = MockKernel.host(KernelProfile.V6_12).memlock(limit)
                .device(address.toString(), device -> device.group(26).cdev("vfio0")).start();
                Kvm kvm = Kvm.open(host);
                Vm vm = kvm.createVm();
                HostMemory ram = HostMemory.allocate(host, MEMORY);
                GuestMemory memory = GuestMemory.create(vm, 0, ram);
                AttachedDevice attached = AttachedDevice.request(host, address).attach(memory)) {
            return attached.device() + " reaches " + memory;
        }
    }
}
