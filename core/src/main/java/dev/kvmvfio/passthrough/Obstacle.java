package dev.kvmvfio.passthrough;

/**
 * What keeps a device from being attached.
 *
 * @param reason a few words, such as {@code bound to nvme}
 * @param remedy a command or a sentence that mends it; empty when nothing does
 */
public record Obstacle(String reason, String remedy) {
    @Override
    public String toString() {
        return reason;
    }
}
