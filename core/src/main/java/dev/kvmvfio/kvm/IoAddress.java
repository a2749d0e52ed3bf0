package dev.kvmvfio.kvm;

/**
 * An address that a guest's processor can write to and that is not memory.
 *
 * @param space which kind of address
 * @param value the port's number, or the guest-physical address in bytes
 */
public record IoAddress(Space space, long value) {
    private static final long LAST_PORT = 0xffff;

    /** The two kinds of address. */
    public enum Space {
        /** A port, for {@code in} and {@code out}; only x86 has them. */
        PORT,
        /** A guest-physical address. */
        MMIO
    }

    /**
     * Checks the address.
     *
     * @throws IllegalArgumentException when it is a port that there cannot be
     */
    public IoAddress {
        if (space == Space.PORT && (value < 0 || value > LAST_PORT)) {
            throw new IllegalArgumentException("port 0x" + Long.toHexString(value) + " is not 0 to 0xffff");
        }
    }

    /**
     * A port.
     *
     * @param number 0 to 0xffff
     * @return its address
     * @throws IllegalArgumentException when there is no such port
     */
    public static IoAddress port(int number) {
        return new IoAddress(Space.PORT, number);
    }

    /**
     * A guest-physical address.
     *
     * @param guestPhysicalAddress in bytes, unsigned
     * @return its address
     */
    public static IoAddress mmio(long guestPhysicalAddress) {
        return new IoAddress(Space.MMIO, guestPhysicalAddress);
    }

    @Override
    public String toString() {
        return (space == Space.PORT ? "port 0x" : "0x") + Long.toHexString(value);
    }
}
