package dev.kvmvfio.mock;

/** A part of the kernel that shows files. */
interface FileSource {
    /** Adds the files that are there now: nodes, folders, and what sysfs and procfs tell. */
    void addTo(FileTree files);
}
