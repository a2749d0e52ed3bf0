package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.ENOMEM;

import dev.kvmvfio.kernel.HugePages;
import java.util.EnumMap;
import java.util.Map;

/** The huge pages that the administrator has reserved and nobody has mapped. */
public final class HugePagePool {
    private final Map<HugePages, Integer> free;

    public HugePagePool(Map<HugePages, Integer> reserved) {
        free = new EnumMap<>(HugePages.class);
        free.putAll(reserved);
    }

    int free(HugePages size) {
        return free.getOrDefault(size, 0);
    }

    void take(HugePages size, int count) {
        int left = free.getOrDefault(size, 0) - count;
        Refusal.when(left < 0, ENOMEM);
        free.put(size, left);
    }

    void giveBack(HugePages size, int count) {
        free.merge(size, count, Integer::sum);
    }
}
