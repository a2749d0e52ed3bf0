package dev.kvmvfio.it.conformance;

import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import java.util.stream.Stream;

/** The lab's machine, described for the mock. */
final class MockLab {
    /** QEMU's teaching device, alone in its group. */
    static final String EDU = "0000:00:05.0";
    /** Another one, which shares its group with the sibling. */
    static final String SHARED_EDU = "0000:02:01.0";
    /** A source of random numbers. */
    static final String SIBLING = "0000:02:02.0";

    private static final int ADDRESS_BITS = 48;

    private MockLab() {
    }

    /** Writes zeroes over what a program's DMA left in the memory of the teaching devices, which nothing resets. */
    static Sequence emptyDevices() {
        return Sequence.of("empty devices", Stream.of(EDU, SHARED_EDU).flatMap(MockLab::emptyDevice).toList());
    }

    private static Stream<String> emptyDevice(String address) {
        return Stream.of("m = mmap 0x1000", "g = open group:" + address, "c = open /dev/vfio/vfio",
                "ioctl g VFIO_GROUP_SET_CONTAINER &c", "ioctl c VFIO_SET_IOMMU 3",
                "ioctl c VFIO_IOMMU_MAP_DMA argsz=32 flags=1 vaddr=m iova=0 size=0x1000",
                "d = ioctl g VFIO_GROUP_GET_DEVICE_FD \"" + address + "\"", "pwrite d 0600 0x70000000004",
                "pwrite d 0000000000000000 0x80", "pwrite d 0000040000000000 0x88", "pwrite d 0010000000000000 0x90",
                "pwrite d 0100000000000000 0x98", "wait d 0x98 1", "close d", "close g", "close c", "munmap m");
    }

    static MockKernel start(KernelProfile profile) {
        return MockKernel.host(profile).addressBits(ADDRESS_BITS)
                .device(EDU, d -> d.edu().group(3))
                .device(SHARED_EDU, d -> d.edu().group(11).behindBridge())
                .device(SIBLING,
                        d -> d.id(0x1af4, 0x1005).subsystem(0x1af4, 4).classCode(0x00ff00).withoutExpress()
                                .group(11)
                                .behindBridge().ioBar(0, 32)
                                .bar(1, 4096).bar64(4, 1 << 14).msix(2, 1, 0).withoutReset())
                .start();
    }
}
