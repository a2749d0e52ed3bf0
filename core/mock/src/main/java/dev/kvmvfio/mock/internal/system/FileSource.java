package dev.kvmvfio.mock.internal.system;

/** A part of the kernel that shows files. */
public interface FileSource {
    /** Adds the files that are there now: nodes, folders, and what sysfs and procfs tell. */
    void addTo(FileTree files);
}
