/** Memory for devices: address spaces, what is mapped in them, and where something can be. */
package dev.kvmvfio.dma;
