/**
 * Kernels that answer what cannot be: the library says which call or file did, and gives back what it had, whatever comes.
 */
package dev.kvmvfio.it.odd;
