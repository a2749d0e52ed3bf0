package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.Kernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.OptionalInt;

/** Asks the kernel whether a person is at the other end of a file. */
final class Terminal {
    static final int INPUT = 0;
    static final int OUTPUT = 1;
    static final int ERRORS = 2;

    /** The same on every architecture that the library knows; it writes rows, columns and two sizes in pixels. */
    private static final long TIOCGWINSZ = 0x5413;
    private static final int SIZE = 4 * Short.BYTES;
    private static final int USUAL_COLUMNS = 80;

    private Terminal() {
    }

    /** How wide the terminal is; empty when the file is none. */
    static OptionalInt columns(int file) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment size = arena.allocate(SIZE, Short.BYTES);
            if (Kernel.linux().ioctl(file, TIOCGWINSZ, size) < 0) {
                return OptionalInt.empty();
            }
            int columns = Short.toUnsignedInt(size.get(ValueLayout.JAVA_SHORT, Short.BYTES));
            return OptionalInt.of(columns == 0 ? USUAL_COLUMNS : columns);
        } catch (UnsupportedOperationException | IllegalCallerException notLinux) {
            return OptionalInt.empty();
        }
    }
}
