package dev.kvmvfio.it.bench;

import com.sun.management.OperatingSystemMXBean;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_region_info;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Ioctl;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.KvmDevice;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.BoundGuestDevice;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.VfioCdev;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;

/**
 * Prints how many calls the mock answers in a second of processor time, in which all threads of this process count, those
 * of the compiler and of the garbage collector too.
 */
public final class MockBench {
    private static final String DEVICE = "0000:6a:01.0";
    private static final Ioctl REGION_INFO = new Ioctl("VFIO_DEVICE_GET_REGION_INFO",
            vfio_h.VFIO_DEVICE_GET_REGION_INFO());
    private static final int WARM_UP_ROUNDS = 20_000;
    private static final int ROUNDS = 60_000;

    private MockBench() {
    }

    /**
     * Measures.
     *
     * @param arguments none
     */
    public static void main(String... arguments) {
        OperatingSystemMXBean process = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        try (MockKernel kernel = MockKernel.host(KernelProfile.V6_12)
                .device(DEVICE, d -> d.group(26).cdev("vfio0").bar(0, 1 << 20).msix(16)).start();
                Kvm kvm = Kvm.open(kernel);
                Vm vm = kvm.createVm();
                HostMemory ram = HostMemory.allocate(kernel, 1 << 22);
                Iommufd iommufd = Iommufd.open(kernel);
                VfioCdev cdev = VfioCdev.open(PciDevice.find(kernel, PciAddress.parse(DEVICE)))) {
            KvmVfioDevice kvmVfio = KvmVfioDevice.create(vm);
            BoundGuestDevice device = kvmVfio.add(cdev).bind(iommufd);
            Ioas ioas = iommufd.allocateIoas();
            device.attach(ioas);
            kernel.clearTrace();
            rounds(1, vm, kvmVfio.kvmDevice(), device.fd(), ioas, ram);
            int calls = kernel.trace().size();
            rounds(WARM_UP_ROUNDS, vm, kvmVfio.kvmDevice(), device.fd(), ioas, ram);
            long start = process.getProcessCpuTime();
            rounds(ROUNDS, vm, kvmVfio.kvmDevice(), device.fd(), ioas, ram);
            long nanoseconds = process.getProcessCpuTime() - start;
            System.out.printf("mock\t%.0f%n", 1e9 * calls * ROUNDS / nanoseconds);
        }
    }

    private static void rounds(int count, Vm vm, KvmDevice kvmVfio, FileDescriptor device, Ioas ioas, HostMemory ram) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = vfio_region_info.allocate(arena);
            vfio_region_info.argsz(info, (int) info.byteSize());
            vfio_region_info.index(info, vfio_h.VFIO_PCI_BAR0_REGION_INDEX());
            for (int i = 0; i < count; i++) {
                vm.checkExtension(kvm_h.KVM_CAP_NR_MEMSLOTS());
                vm.memory().add(0, ram).close();
                kvmVfio.hasAttr(kvm_h.KVM_DEV_VFIO_FILE(), kvm_h.KVM_DEV_VFIO_FILE_ADD());
                device.call(REGION_INFO, info);
                ioas.map(0, ram).close();
            }
        }
    }
}
