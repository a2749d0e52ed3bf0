package dev.kvmvfio.kernel;

/** A handle that is an open file and nothing more. */
public abstract class FileHandle extends Handle {
    private final FileDescriptor fd;

    /**
     * Takes ownership of an open file.
     *
     * @param fd the file
     * @param rank where its type stands in the order of closing
     */
    protected FileHandle(FileDescriptor fd, int rank) {
        super(rank);
        this.fd = fd;
    }

    /**
     * The open file, to hand to another call or for an ioctl that this library does not wrap.
     *
     * @return owned by this object
     */
    public final FileDescriptor fd() {
        return fd;
    }

    @Override
    protected void release() {
        fd.close();
    }

    @Override
    public String toString() {
        return fd.toString();
    }
}
