/**
 * Memory for devices: address spaces, what is mapped in them, and where something can be.
 *
 * <p>What it needs is {@code /dev/iommu} or a VFIO container, and room under {@code RLIMIT_MEMLOCK} for what is mapped.
 * Examples have the imports of the {@linkplain dev.kvmvfio module's page}.
 *
 * <p>A device reads and writes memory at I/O virtual addresses (IOVA). {@link dev.kvmvfio.dma.DmaSpace} says what memory
 * they lead to; it is an IOAS of {@code iommufd} or a container of {@code vfio}, and code that only maps need not know
 * which. A virtual machine's memory is mapped where the guest sees it, so that the guest's driver can tell the device an
 * address of its own:
 *
 * {@snippet lang=java :
 * try (Iommufd iommufd = Iommufd.open(); HostMemory ram = HostMemory.allocate(Kernel.linux(), 4L << 30)) {
 *     DmaSpace space = iommufd.allocateIoas();
 *     System.out.println("Addresses for devices: " + space.iovaRanges());
 *     space.map(0, ram, 0, 3L << 30, DmaAccess.READ_WRITE);
 *     space.map(4L << 30, ram, 3L << 30, 1L << 30, DmaAccess.READ_WRITE);
 * }
 * }
 *
 * <p>What is mapped is pinned: it counts against {@code RLIMIT_MEMLOCK}, unless the process has {@code CAP_IPC_LOCK}.
 */
@NullMarked
package dev.kvmvfio.dma;

import org.jspecify.annotations.NullMarked;
