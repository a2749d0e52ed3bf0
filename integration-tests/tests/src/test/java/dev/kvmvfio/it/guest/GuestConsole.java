package dev.kvmvfio.it.guest;

import java.io.OutputStream;
import java.time.Duration;

/** What a guest has written to its serial console; a test can wait for a line. */
final class GuestConsole extends OutputStream {
    private static final Duration PATIENCE = Duration.ofMinutes(10);

    private final StringBuilder text = new StringBuilder();

    /** A terminal wants carriage returns; a test does not. */
    @Override
    public synchronized void write(int character) {
        if (character != '\r') {
            text.append((char) character);
            notifyAll();
        }
    }

    synchronized void await(String line) throws InterruptedException {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (text.indexOf("\n" + line + "\n") < 0) {
            long left = (end - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                throw new AssertionError("the guest does not say \"" + line + "\", but only:\n" + text);
            }
            wait(left);
        }
    }

    synchronized String text() {
        return text.toString();
    }
}
