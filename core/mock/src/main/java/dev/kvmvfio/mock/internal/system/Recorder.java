package dev.kvmvfio.mock.internal.system;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.SystemCall;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.function.LongConsumer;
import java.util.function.LongSupplier;

/** Keeps what was called and what came of it, and makes calls fail or come late that a test wants to. */
public final class Recorder {
    /** Older calls are forgotten, so that a long test does not fill the memory. */
    static final int MOST_CALLS = 1 << 16;

    private final Deque<SystemCall> entries = new ArrayDeque<>();
    private final List<Fault> faults = new ArrayList<>();

    private final LongConsumer pause;

    /**
     * Makes an empty one.
     *
     * @param pause lets a number of nanoseconds pass, while other calls go on
     */
    public Recorder(LongConsumer pause) {
        this.pause = pause;
    }

    /** What is to happen to the call that comes after a number of others of that name; the errno is null for a delay. */
    private static final class Fault {
        private final String name;
        private final Errno errno;
        private final long delay;
        private int left;

        Fault(String name, int nth, Errno errno, long delay) {
            this.name = name;
            this.left = nth;
            this.errno = errno;
            this.delay = delay;
        }

        boolean meets(SystemCall call) {
            boolean isNamed = name == null || name.equals(call.name()) || name.equals(call.operation());
            return isNamed && --left == 0;
        }
    }

    public void addFault(String name, int nth, Errno errno) {
        faults.add(new Fault(name, nth, errno, 0));
    }

    public void addDelay(String name, int nth, long nanoseconds) {
        faults.add(new Fault(name, nth, null, nanoseconds));
    }

    public boolean hasFaults() {
        return !faults.isEmpty();
    }

    public long run(SystemCall call, LongSupplier body) {
        List<Fault> due = takeDue(call);
        due.stream().filter(fault -> fault.delay > 0).forEach(fault -> pause.accept(fault.delay));
        Errno fault = due.stream().map(each -> each.errno).filter(Objects::nonNull).findFirst().orElse(null);
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

    private List<Fault> takeDue(SystemCall call) {
        if (faults.isEmpty()) {
            return List.of();
        }
        List<Fault> due = faults.stream().filter(fault -> fault.meets(call)).toList();
        faults.removeAll(due);
        return due;
    }

    public List<SystemCall> trace() {
        return List.copyOf(entries);
    }

    public void clear() {
        entries.clear();
    }
}
