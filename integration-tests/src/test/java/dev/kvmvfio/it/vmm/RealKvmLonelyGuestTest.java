package dev.kvmvfio.it.vmm;

import org.junit.jupiter.api.Tag;

@Tag("kvm")
class RealKvmLonelyGuestTest extends LonelyGuestContract {
}
