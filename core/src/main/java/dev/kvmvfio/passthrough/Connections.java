package dev.kvmvfio.passthrough;

import dev.kvmvfio.vfio.Interrupt;

/** What the connections of every kind of interrupt have in common. */
final class Connections {
    private Connections() {
    }

    /** The same interrupt, when it has the vectors and nobody uses it. */
    static Interrupt available(Interrupt interrupt, int vectors) {
        if (vectors < 1 || vectors > interrupt.count()) {
            throw new IllegalArgumentException(vectors + " vectors cannot be connected of " + interrupt);
        }
        if (interrupt.isEnabled()) {
            throw new IllegalStateException(interrupt + " is enabled already: disable it, or close its connection");
        }
        return interrupt;
    }

    /** Unless the device, which is being closed, has done so. */
    static void disable(Interrupt interrupt) {
        if (interrupt.isEnabled()) {
            interrupt.disable();
        }
    }
}
