/**
 * Runs in the lab's machine, on each kernel, the tests that are tagged {@code in-lab}, and the command line; and for a
 * machine without {@code /dev/kvm} the tests that need it.
 */
package dev.kvmvfio.it.lab;
