package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.system.system_h;

/**
 * The sizes of huge pages that x86-64 has. Which of them there are, and how many, is the administrator's choice; on
 * another architecture a size may not exist.
 */
public enum HugePages {
    /** 2 MiB. */
    SIZE_2M(2L << 20, system_h.MAP_HUGE_2MB(), system_h.MFD_HUGE_2MB()),
    /** 1 GiB. */
    SIZE_1G(1L << 30, system_h.MAP_HUGE_1GB(), system_h.MFD_HUGE_1GB());

    private final long size;
    private final int mapFlag;
    private final int memfdFlag;

    HugePages(long size, int mapFlag, int memfdFlag) {
        this.size = size;
        this.mapFlag = mapFlag;
        this.memfdFlag = memfdFlag;
    }

    /**
     * The size of one page.
     *
     * @return bytes
     */
    public long size() {
        return size;
    }

    int mapFlags() {
        return system_h.MAP_HUGETLB() | mapFlag;
    }

    int memfdFlags() {
        return system_h.MFD_HUGETLB() | memfdFlag;
    }

    String remedy(Errno errno, long wanted) {
        return switch (errno) {
            case ENOMEM -> String.format("It needs %d free huge pages of %s: raise /sys/kernel/mm/hugepages/"
                    + "hugepages-%dkB/nr_hugepages by as many, best soon after boot", wanted / size, this, size >> 10);
            case EINVAL, ENODEV -> "This machine has no huge pages of " + this;
            default -> "";
        };
    }

    @Override
    public String toString() {
        return size >= 1 << 30 ? (size >> 30) + " GiB" : (size >> 20) + " MiB";
    }
}
