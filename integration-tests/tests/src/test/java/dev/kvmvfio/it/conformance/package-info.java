/**
 * The mock answers as real kernels did, to scripted sequences of system calls and to random ones.
 */
package dev.kvmvfio.it.conformance;
