/**
 * A device for a virtual machine in one call: {@link dev.kvmvfio.passthrough.Passthrough#of} begins a request, and
 * attaching it does all steps or none. {@link dev.kvmvfio.passthrough.IntxLine} and
 * {@link dev.kvmvfio.passthrough.MsiVectors} connect the device's interrupts to the guest.
 */
package dev.kvmvfio.passthrough;
