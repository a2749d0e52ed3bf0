package dev.kvmvfio.dma;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Kernel;

/** Explains a mapping that failed for want of lockable memory, which the kernel itself says only in its log. */
final class Memlock {
    private Memlock() {
    }

    static String describe(Kernel kernel, long wanted) {
        long limit = kernel.rlimit(system_h.RLIMIT_MEMLOCK());
        if (limit < 0 || limit == Long.MAX_VALUE) {
            return "The memory could not be pinned";
        }
        return String.format(
                "RLIMIT_MEMLOCK allows this process to pin %d KiB, and this mapping alone needs %d KiB: raise "
                        + "it with ulimit -l, LimitMEMLOCK= of the service or --ulimit memlock= of the container, or "
                        + "give it the capability CAP_IPC_LOCK (--cap-add IPC_LOCK)",
                limit >> 10,
                wanted >> 10);
    }
}
