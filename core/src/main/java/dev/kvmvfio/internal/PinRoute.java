package dev.kvmvfio.internal;

/**
 * A route that the kernel makes by itself when it makes its interrupt controllers.
 *
 * @param gsi the global system interrupt
 * @param irqchip the controller's number
 * @param pin the controller's pin
 */
public record PinRoute(int gsi, int irqchip, int pin) {
}
