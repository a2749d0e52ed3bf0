package dev.kvmvfio.it.vmm;

import org.junit.jupiter.api.Tag;

/** In the lab. */
@Tag("guest")
public class GuestLonelyGuestTest extends LonelyGuestContract {
}
