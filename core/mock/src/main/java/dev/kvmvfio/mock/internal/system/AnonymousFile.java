package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.ESPIPE;

/** A file that no path leads to: a call made it. There is no position in it. */
public abstract class AnonymousFile extends OpenFile {
    public AnonymousFile(String name) {
        super(name);
    }

    @Override
    protected final long pread(Buffer buffer, long offset) {
        throw Refusal.of(ESPIPE);
    }

    @Override
    protected final long pwrite(Buffer buffer, long offset) {
        throw Refusal.of(ESPIPE);
    }
}
