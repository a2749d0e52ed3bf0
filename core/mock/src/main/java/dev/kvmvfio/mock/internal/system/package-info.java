/**
 * The modelled computer without its devices: the process, its files and memory, the tree of files, and how a system call is
 * made, recorded and refused. The other rooms build on it, and it knows none of them.
 */
package dev.kvmvfio.mock.internal.system;
