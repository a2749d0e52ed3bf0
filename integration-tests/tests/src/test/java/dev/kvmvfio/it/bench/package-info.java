/**
 * What an exit and an ioctl cost beside a loop in C, and how fast the mock is: programs, not tests.
 */
package dev.kvmvfio.it.bench;
