package dev.kvmvfio.vmm;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class GuestTextTest {
    @Test
    void aGuestCannotControlTheTerminal() throws IOException {
        ByteArrayOutputStream terminal = new ByteArrayOutputStream();
        try (GuestText console = new GuestText(terminal)) {
            console.write("login:\t\u001b]0;owned\u0007\u009b31m\u007f\r\n".getBytes(StandardCharsets.UTF_8));
        }
        assertThat(terminal.toString(StandardCharsets.US_ASCII))
                .isEqualTo("login:\t\\x1b]0;owned\\x07\\xc2\\x9b31m\\x7f\r\n");
    }
}
