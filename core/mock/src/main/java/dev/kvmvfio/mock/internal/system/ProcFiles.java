package dev.kvmvfio.mock.internal.system;

import dev.kvmvfio.kernel.HugePages;

/** What the kernel tells of itself, of the process, and of its memory and its processor. */
public final class ProcFiles implements FileSource {
    private final Machine machine;

    public ProcFiles(Machine machine) {
        this.machine = machine;
    }

    @Override
    public void addTo(FileTree files) {
        files.add("/proc/self/status", FileTree.text(() -> machine.process().status().stripTrailing()));
        // The shell that every host has, and not every image.
        files.add("/bin/sh", FileTree.text(""));
        files.add("/proc/self/limits", FileTree.text(() -> machine.process().limits().stripTrailing()));
        files.add("/proc/cpuinfo",
                FileTree.text("processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme vmx ssse3"));
        files.add("/proc/sys/kernel/osrelease", FileTree.text(machine.profile().release()));
        for (HugePages size : HugePages.values()) {
            String folder = "/sys/kernel/mm/hugepages/hugepages-" + (size.size() >> 10) + "kB/";
            files.add(folder + "free_hugepages", FileTree.text(() -> "" + machine.hugePagePool().free(size)));
        }
    }
}
