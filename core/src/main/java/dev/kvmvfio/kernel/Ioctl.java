package dev.kvmvfio.kernel;

/**
 * An ioctl by its name and number.
 *
 * @param name as the kernel's header spells it
 * @param request the number
 */
public record Ioctl(String name, long request) {
    @Override
    public String toString() {
        return name;
    }
}
