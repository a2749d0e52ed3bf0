/**
 * The generated bindings against what gcc makes of the kernel's headers.
 */
package dev.kvmvfio.it.abi;
