package dev.kvmvfio.kernel;

/**
 * An ioctl by its name and number. The number says how large its struct is and which way it goes, as far as the
 * subsystem that made it cares: those of VFIO and iommufd say neither, and their structs begin with their own size.
 *
 * @param name as the kernel's header spells it
 * @param number the request number
 */
public record Ioctl(String name, long number) {
    /** {@code _IOC_READ}: the program reads what the kernel has written. */
    private static final long READ = 1L << 31;

    /**
     * {@code _IOC_SIZE}: the size of what the argument points to, of the part that has always the same size.
     *
     * @return bytes; 0 when the number says none
     */
    public int size() {
        return (int) (number >> 16) & 0x3fff;
    }

    /**
     * {@code _IOC_DIR}: whether the kernel writes to what the argument points to.
     *
     * @return true when the number says so; one that says no size says nothing here either
     */
    public boolean kernelWrites() {
        return (number & READ) != 0;
    }

    @Override
    public String toString() {
        return name;
    }
}
