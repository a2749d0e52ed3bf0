package dev.kvmvfio.it.guest;

import org.junit.jupiter.api.Tag;

@Tag("kvm")
class RealNoDeviceGuestTest extends NoDeviceGuestContract {
}
