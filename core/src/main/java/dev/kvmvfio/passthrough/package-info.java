/**
 * A device for a virtual machine in one call: {@link dev.kvmvfio.passthrough.Passthrough#of} begins a request, and
 * attaching it does all steps or none.
 */
package dev.kvmvfio.passthrough;
