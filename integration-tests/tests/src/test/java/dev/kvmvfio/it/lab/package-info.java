/**
 * Runs in the lab's machine, on each kernel, the tests that are tagged {@code in-lab}, and the command line.
 */
package dev.kvmvfio.it.lab;
