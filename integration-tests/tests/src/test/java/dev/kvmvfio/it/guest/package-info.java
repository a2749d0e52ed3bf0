/**
 * Guests in the example VMM: small ones in machine code, with and without a device, and Linux with its own drivers. A device
 * serves its guest without an exit.
 */
package dev.kvmvfio.it.guest;
