package dev.kvmvfio.mock;

import dev.kvmvfio.kernel.Errno;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** Keeps what was called and what came of it, and makes calls fail that a test wants to fail. */
final class Recorder {
    /** Older calls are forgotten, so that a long test does not fill the memory. */
    static final int MOST_CALLS = 1 << 16;

    private final Deque<Entry> entries = new ArrayDeque<>();
    private final List<Fault> faults = new ArrayList<>();

    /** A call; its arguments become text only when somebody reads them. */
    record Call(String operation, String file, String name, Supplier<String> arguments) {
        private boolean isNamed(String wanted) {
            return wanted == null || wanted.equals(name) || wanted.equals(operation);
        }

        /** Linux closes a file also when it reports an error. */
        private boolean happensAnyway() {
            return operation.equals("close");
        }
    }

    private record Entry(Call call, long result) {
        private RecordedCall decode() {
            return new RecordedCall(call.operation, call.file, call.name, call.arguments.get(), result);
        }
    }

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

        boolean meets(Call call) {
            return call.isNamed(name) && --left == 0;
        }
    }

    void addFault(String name, int nth, Errno errno) {
        faults.add(new Fault(name, nth, errno));
    }

    boolean hasFaults() {
        return !faults.isEmpty();
    }

    long run(Call call, LongSupplier body) {
        Errno fault = nextFault(call);
        long result;
        try {
            result = fault == null || call.happensAnyway() ? body.getAsLong() : 0;
        } catch (Refusal refused) {
            result = refused.result();
        }
        if (fault != null) {
            result = -fault.number();
        }
        if (entries.size() == MOST_CALLS) {
            entries.removeFirst();
        }
        entries.addLast(new Entry(call, result));
        return result;
    }

    private Errno nextFault(Call call) {
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

    List<RecordedCall> trace() {
        return entries.stream().map(Entry::decode).toList();
    }

    void clear() {
        entries.clear();
    }
}
