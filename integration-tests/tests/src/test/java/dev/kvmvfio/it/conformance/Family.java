package dev.kvmvfio.it.conformance;

import java.util.Locale;

/**
 * What random sequences are about. Each family is made and recorded by itself, so that a new one leaves the recordings
 * of the others as they are.
 */
enum Family {
    /** Virtual machines alone. */
    KVM,
    /** Groups and containers. */
    GROUP,
    /** A device's own node, and iommufd. */
    CDEV;

    String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    static Family of(String label) {
        return valueOf(label.toUpperCase(Locale.ROOT));
    }
}
