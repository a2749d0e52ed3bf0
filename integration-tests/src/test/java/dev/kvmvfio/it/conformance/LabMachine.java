package dev.kvmvfio.it.conformance;

import dev.kvmvfio.mock.KernelProfile;
import dev.kvmvfio.mock.MockKernel;

/** The lab's machine, described for the mock. */
final class LabMachine {
    /** QEMU's teaching device, alone in its group. */
    static final String EDU = "0000:00:05.0";
    /** Another one, which shares its group with the sibling. */
    static final String SHARED_EDU = "0000:02:01.0";
    /** A source of random numbers. */
    static final String SIBLING = "0000:02:02.0";

    private static final int ADDRESS_BITS = 48;

    private LabMachine() {
    }

    static MockKernel start(KernelProfile profile) {
        // The kernel's own choice, and seen in the answers.
        int shared = profile == KernelProfile.V7_2 ? 5 : 11;
        return MockKernel.host(profile).addressBits(ADDRESS_BITS)
                .device(EDU, d -> d.edu().group(3))
                .device(SHARED_EDU, d -> d.edu().group(shared).behindBridge())
                .device(SIBLING,
                        d -> d.id(0x1af4, 0x1005).subsystem(0x1af4, 4).classCode(0x00ff00).withoutExpress()
                                .group(shared)
                                .behindBridge().ioBar(0, 32)
                                .bar(1, 4096).bar64(4, 1 << 14).msiX(2, 1, 0).withoutReset())
                .start();
    }
}
