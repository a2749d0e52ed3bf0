package dev.kvmvfio.mock;

import static dev.kvmvfio.kernel.Errno.ESPIPE;

/** A file that no path leads to: a call made it. There is no position in it. */
abstract class AnonymousFile extends OpenFile {
    AnonymousFile(String name) {
        super(name);
    }

    @Override
    final long pread(Buffer buffer, long offset) {
        throw Refusal.of(ESPIPE);
    }

    @Override
    final long pwrite(Buffer buffer, long offset) {
        throw Refusal.of(ESPIPE);
    }
}
