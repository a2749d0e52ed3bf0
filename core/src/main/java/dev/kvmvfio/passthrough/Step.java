package dev.kvmvfio.passthrough;

/**
 * One step of attaching or detaching, as it was done.
 *
 * @param isUndo whether it took something back
 * @param call the ioctl or system call
 * @param file the file that it was made on
 * @param result what came back
 */
public record Step(boolean isUndo, String call, String file, String result) {
    @Override
    public String toString() {
        return call + " on " + file + (result.isEmpty() ? "" : ": " + result);
    }
}
