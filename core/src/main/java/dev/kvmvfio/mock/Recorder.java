package dev.kvmvfio.mock;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.SystemCall;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.function.LongSupplier;

/** Keeps what was called and what came of it, and makes calls fail that a test wants to fail. */
final class Recorder {
    /** Older calls are forgotten, so that a long test does not fill the memory. */
    static final int MOST_CALLS = 1 << 16;

    private final Deque<SystemCall> entries = new ArrayDeque<>();
    private final List<Fault> faults = new ArrayList<>();

    /** A call that is to fail: the one that comes after a number of others of that name. */
    private static final class Fault {
        private final String name;
        private final Errno errno;
        private int left;

        Fault(String name, int nth, Errno errno) {
            this.name = name;
            this.left = nth;
            this.errno = errno;
        }

        boolean meets(SystemCall call) {
            boolean isNamed = name == null || name.equals(call.name()) || name.equals(call.operation());
            return isNamed && --left == 0;
        }
    }

    void addFault(String name, int nth, Errno errno) {
        faults.add(new Fault(name, nth, errno));
    }

    boolean hasFaults() {
        return !faults.isEmpty();
    }

    long run(SystemCall call, LongSupplier body) {
        Errno fault = nextFault(call);
        long result;
        try {
            result = fault == null || happensAnyway(call) ? body.getAsLong() : 0;
        } catch (Refusal refused) {
            result = refused.result();
        }
        if (fault != null) {
            result = -fault.number();
        }
        if (entries.size() == MOST_CALLS) {
            entries.removeFirst();
        }
        entries.addLast(call.returned(result));
        return result;
    }

    /** Linux closes a file also when it reports an error. */
    private static boolean happensAnyway(SystemCall call) {
        return call.operation().equals("close");
    }

    private Errno nextFault(SystemCall call) {
        Errno errno = null;
        for (Iterator<Fault> all = faults.iterator(); all.hasNext();) {
            Fault fault = all.next();
            if (fault.meets(call)) {
                all.remove();
                errno = fault.errno;
            }
        }
        return errno;
    }

    List<SystemCall> trace() {
        return List.copyOf(entries);
    }

    void clear() {
        entries.clear();
    }
}
