package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.mock.model.NotModelledException;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What the process mapped through this kernel. */
final class AddressSpace {
    private final TreeMap<Long, Mapping> mappings = new TreeMap<>();

    void add(Mapping mapping) {
        mappings.put(mapping.address(), mapping);
    }

    /** The mapping that holds the whole range, or null. */
    Mapping covering(long address, long bytes) {
        Map.Entry<Long, Mapping> below = mappings.floorEntry(address);
        if (below == null || bytes < 0) {
            return null;
        }
        Mapping mapping = below.getValue();
        return bytes <= mapping.length() - (address - mapping.address()) ? mapping : null;
    }

    void unmap(long address, long length) {
        long end = address + PhysicalMemory.wholePages(length);
        Refusal.when((address & PhysicalMemory.PAGE - 1) != 0 || length <= 0 || end < address, EINVAL);
        List<Mapping> within = List.copyOf(mappings.subMap(address, end).values());
        Mapping first = covering(address, 1);
        boolean cutsFirst = first != null && first.address() < address;
        boolean cutsLast = !within.isEmpty() && within.getLast().address() + within.getLast().length() > end;
        if (cutsFirst || cutsLast) {
            throw new NotModelledException("munmap of a part of a mapping");
        }
        within.forEach(mapping -> {
            mappings.remove(mapping.address());
            mapping.unmap();
        });
    }

    Collection<Mapping> mappings() {
        return mappings.values();
    }
}
