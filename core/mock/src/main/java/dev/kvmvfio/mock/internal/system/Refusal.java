package dev.kvmvfio.mock.internal.system;

import dev.kvmvfio.kernel.Errno;
import java.util.EnumMap;
import java.util.Map;

/** A negative errno on its way out of the model. It has no stack trace, because a kernel refuses all the time. */
public final class Refusal extends RuntimeException {
    private static final long serialVersionUID = 1;
    private static final Map<Errno, Refusal> ALL = all();

    private final Errno errno;

    private Refusal(Errno errno) {
        super(errno.name(), null, false, false);
        this.errno = errno;
    }

    private static Map<Errno, Refusal> all() {
        Map<Errno, Refusal> all = new EnumMap<>(Errno.class);
        for (Errno errno : Errno.values()) {
            all.put(errno, new Refusal(errno));
        }
        return all;
    }

    public static Refusal of(Errno errno) {
        return ALL.get(errno);
    }

    public static void when(boolean refused, Errno errno) {
        if (refused) {
            throw of(errno);
        }
    }

    /** What the system call answers. */
    long result() {
        return -errno.number();
    }
}
