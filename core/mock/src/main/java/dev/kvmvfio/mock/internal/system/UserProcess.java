package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.ENOMEM;

import dev.kvmvfio.mock.model.LinuxCapability;
import java.util.EnumSet;
import java.util.Set;

/** The one process of the mock kernel: its rights, its limits and what it has pinned. */
public final class UserProcess {
    private static final int OPEN_FILES = 1024;
    private static final int ID = 4242;
    private static final long ALL_CAPABILITIES = 0x1ff_ffff_ffffL;

    private final int user;
    private final Set<LinuxCapability> missing;
    private final long memlock;
    private final FileTable files = new FileTable(OPEN_FILES);
    private final AddressSpace addressSpace = new AddressSpace();
    private long lockedPages;
    private long pinnedPages;

    public UserProcess(int user, Set<LinuxCapability> missing, long memlock) {
        this.user = user;
        this.missing = missing.isEmpty() ? EnumSet.noneOf(LinuxCapability.class) : EnumSet.copyOf(missing);
        this.memlock = memlock;
    }

    FileTable files() {
        return files;
    }

    AddressSpace addressSpace() {
        return addressSpace;
    }

    public boolean may(LinuxCapability capability) {
        return !missing.contains(capability);
    }

    long memlock() {
        return memlock;
    }

    /** Counts pages that type1 pins, or fewer of them with a negative number; they go to the process. */
    void lock(long pages) {
        Refusal.when(exceeds(lockedPages, pages), ENOMEM);
        lockedPages += pages;
    }

    /** Counts pages that iommufd pins, or fewer of them; they go to the user, who here has this process only. */
    void pin(long pages) {
        Refusal.when(exceeds(pinnedPages, pages), ENOMEM);
        pinnedPages += pages;
    }

    private boolean exceeds(long counted, long pages) {
        return pages > 0 && !may(LinuxCapability.IPC_LOCK) && counted + pages > memlock / PhysicalMemory.PAGE;
    }

    long accountedPages() {
        return lockedPages + pinnedPages;
    }

    private long capabilities() {
        return missing.stream().reduce(ALL_CAPABILITIES, (bits, gone) -> bits & ~bit(gone), (one, _) -> one);
    }

    private static long bit(LinuxCapability capability) {
        return 1L << switch (capability) {
            case IPC_LOCK -> 14;
            case SYS_RAWIO -> 17;
            case SYS_RESOURCE -> 24;
        };
    }

    private static long kilobytes(long pages) {
        return pages * PhysicalMemory.PAGE >> 10;
    }

    String status() {
        String format = """
                Name:\tjava
                State:\tR (running)
                Tgid:\t%1$d
                Pid:\t%1$d
                Uid:\t%5$d\t%5$d\t%5$d\t%5$d
                Gid:\t%5$d\t%5$d\t%5$d\t%5$d
                Groups:\t%5$d
                VmLck:\t%2$8d kB
                VmPin:\t%3$8d kB
                CapInh:\t0000000000000000
                CapPrm:\t%4$016x
                CapEff:\t%4$016x
                CapBnd:\t%4$016x
                CapAmb:\t0000000000000000
                """;
        return String.format(format, ID, kilobytes(lockedPages), kilobytes(pinnedPages), capabilities(),
                user);
    }

    String limits() {
        String bytes = memlock == Long.MAX_VALUE ? "unlimited" : Long.toString(memlock);
        return String.format("%-25s %-20s %-20s %-10s%n".replace("%n", "\n"), "Limit", "Soft Limit", "Hard Limit",
                "Units")
                + String.format("%-25s %-20s %-20s %-10s\n", "Max open files", OPEN_FILES, OPEN_FILES, "files")
                + String.format("%-25s %-20s %-20s %-10s\n", "Max locked memory", bytes, bytes, "bytes");
    }
}
