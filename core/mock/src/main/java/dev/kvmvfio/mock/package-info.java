/**
 * A model of Linux with KVM, VFIO and iommufd, for tests on machines that have none of them.
 *
 * <p>What it needs is a JDK 22 or later and native access for the library: no Linux, no KVM, no rights. Examples have the
 * imports of the {@linkplain dev.kvmvfio page of the module} {@code dev.kvmvfio}.
 *
 * <p>A virtual machine monitor that reaches the kernel through {@link dev.kvmvfio.kernel.Kernel} runs unchanged on
 * {@link dev.kvmvfio.mock.MockKernel}. A test describes the host that it needs, runs the program's own code, and lets
 * the mock find what was forgotten:
 *
 * {@snippet lang=java :
 * try (var kernel = MockKernel.host(KernelProfile.V6_12)
 *         .device("0000:6a:01.0", d -> d.id(0x8086, 0x10d3).group(26).cdev("vfio0").bar(0, 1 << 20).msix(16))
 *         .memlock(1 << 20)
 *         .start()) {
 *     kernel.failCall("VFIO_DEVICE_ATTACH_IOMMUFD_PT", 1, Errno.ENOMEM);
 *     assertThrows(KernelException.class, () -> attach(kernel, "0000:6a:01.0"));
 *     assertEquals(List.of(), kernel.leaks());          // the attach undid what it had done
 *     attach(kernel, "0000:6a:01.0").close();
 * }                                                     // close() fails the test when something is left behind
 * }
 *
 * <p>{@link dev.kvmvfio.mock.MockHost} and {@link dev.kvmvfio.mock.MockDevice} describe;
 * {@link dev.kvmvfio.mock.model.PciEndpoint} is a device's own side, with its interrupts and its DMA;
 * {@link dev.kvmvfio.mock.MockGuest} stands for the code in a virtual machine; {@link dev.kvmvfio.mock.model.BarRegisters}
 * gives a device registers that do something. What is not modelled throws a
 * {@link dev.kvmvfio.mock.model.NotModelledException}.
 */
@NullMarked
package dev.kvmvfio.mock;

import org.jspecify.annotations.NullMarked;
