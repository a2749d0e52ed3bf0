package dev.kvmvfio.mock.internal.pci;

/** What a driver has made of a device, and who gets the device's signals. */
public interface PciClient {
    /** Takes no notice of any. */
    PciClient NONE = new PciClient() {
    };

    /** The interrupt line went up. */
    default void lineRaised() {
    }

    /** Whether the device was told to send messages. */
    default boolean hasMessages() {
        return false;
    }

    /** The device sends a message; says whether somebody got it. */
    default boolean message(int vector) {
        return false;
    }

    /** The host wants the device back; says whether somebody was told. */
    default boolean request() {
        return false;
    }

    /** The device reports an error; says whether somebody was told. */
    default boolean error() {
        return false;
    }

    /** Whether the driver knows the virtual machine that the device is used for. */
    default boolean knowsVm() {
        return false;
    }
}
