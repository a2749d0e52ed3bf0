package dev.kvmvfio.it.guest;

import org.junit.jupiter.api.Tag;

/** In the lab. */
@Tag("in-lab")
public class LabNoDeviceGuestTest extends NoDeviceGuestContract {
}
