/**
 * System calls and what they are made on: the seam to the operating system, open files that cannot be mistaken for
 * others, eventfds, memory, and the exceptions for what a kernel refuses.
 */
package dev.kvmvfio.kernel;
