/**
 * The library in containers, with and without what it needs from them.
 */
package dev.kvmvfio.it.containers;
