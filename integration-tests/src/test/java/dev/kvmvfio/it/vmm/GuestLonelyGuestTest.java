package dev.kvmvfio.it.vmm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.it.GuestHost;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;

@Tag("guest")
public class GuestLonelyGuestTest extends LonelyGuestContract {
    @AfterEach
    void nothingIsLeft() {
        assertThat(GuestHost.held()).isEmpty();
    }
}
