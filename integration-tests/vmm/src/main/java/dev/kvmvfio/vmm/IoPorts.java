package dev.kvmvfio.vmm;

import dev.kvmvfio.kvm.VcpuExit;
import java.util.Map;
import java.util.TreeMap;

/** Which device is at which I/O port. Nothing is at the others: they read as ones, and swallow what is written. */
public final class IoPorts {
    static final int NOTHING = -1;

    private record Range(int last, PortDevice device) {
    }

    private final TreeMap<Integer, Range> ranges = new TreeMap<>();

    IoPorts() {
    }

    /**
     * Puts a device at some ports.
     *
     * @param first the first of them
     * @param count how many there are
     * @param device what answers there
     */
    public void add(int first, int count, PortDevice device) {
        ranges.put(first, new Range(first + count - 1, device));
    }

    private Map.Entry<Integer, Range> at(int port) {
        Map.Entry<Integer, Range> range = ranges.floorEntry(port);
        return range != null && port <= range.getValue().last() ? range : null;
    }

    /** Answers a read; a string instruction asks for several values at a time. */
    void read(VcpuExit.PortRead read) {
        var range = at(read.port());
        for (int i = 0; i < read.count(); i++) {
            read.answer(i, range == null
                    ? NOTHING
                    : range.getValue().device().read(read.port() - range.getKey(), read.size()));
        }
    }

    void write(VcpuExit.PortWrite write) {
        var range = at(write.port());
        for (int i = 0; range != null && i < write.count(); i++) {
            range.getValue().device().write(write.port() - range.getKey(), write.size(), write.value(i));
        }
    }
}
