package dev.kvmvfio.vmm;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * What a guest writes, for a terminal of the host: a guest is not trusted, so of what controls a terminal only line ends
 * and tabs pass, and all else that is no ASCII text is shown as {@code \x1b}.
 */
final class GuestText extends FilterOutputStream {
    GuestText(OutputStream terminal) {
        super(terminal);
    }

    @Override
    public void write(int octet) throws IOException {
        int value = octet & 0xff;
        if (value >= ' ' && value < 0x7f || value == '\n' || value == '\r' || value == '\t') {
            out.write(value);
        } else {
            out.write(String.format(Locale.ROOT, "\\x%02x", value).getBytes(StandardCharsets.US_ASCII));
        }
    }
}
