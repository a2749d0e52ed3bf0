package dev.kvmvfio.passthrough;

/**
 * One precondition of passthrough, as {@link HostCheck} found it.
 *
 * @param id which one, for programs: it stays the same in later versions
 * @param level whether it is met
 * @param reason what was found, in a sentence without its full stop
 * @param remedy the command that mends it, or a sentence where no command can; empty when nothing is to be mended
 */
public record Finding(String id, Level level, String reason, String remedy) {
    /** How serious it is. */
    public enum Level {
        /** Nothing is to be done. */
        OK,
        /** Passthrough works, but not for all devices, not by both interfaces, or not as fast or safe as it could. */
        WARNING,
        /** Passthrough does not work. */
        FAILS
    }

    static Finding ok(String id, String reason) {
        return new Finding(id, Level.OK, reason, "");
    }

    static Finding warning(String id, String reason, String remedy) {
        return new Finding(id, Level.WARNING, reason, remedy);
    }

    static Finding fails(String id, String reason, String remedy) {
        return new Finding(id, Level.FAILS, reason, remedy);
    }

    @Override
    public String toString() {
        return level + " " + id + ": " + reason + (remedy.isEmpty() ? "" : ". " + remedy);
    }
}
