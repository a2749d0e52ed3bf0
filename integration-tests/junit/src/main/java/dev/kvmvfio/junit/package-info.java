/**
 * For the tests of programs that use the library, with JUnit 5 or 6.
 *
 * <p>{@link dev.kvmvfio.junit.MockKernelExtension} gives each test a mock host of its own, and fails a test that leaves
 * something open there. {@link dev.kvmvfio.junit.RequiresKvm} and {@link dev.kvmvfio.junit.RequiresVfio} mark tests
 * for machines that have it.
 *
 * {@snippet :
 * class VmmTest {
 *     @RegisterExtension
 *     static final MockKernelExtension HOST = MockKernelExtension.of(
 *             () -> MockKernel.host(KernelProfile.V6_12)
 *                     .device("0000:6a:01.0", device -> device.group(26)));
 *
 *     @Test
 *     void attaches(MockKernel host) {
 *         PciAddress address = PciAddress.parse("0000:6a:01.0");
 *         try (Kvm kvm = Kvm.open(host); Vm vm = kvm.createVm()) {
 *             AttachedDevice.request(host, address).attach(vm);
 *         }
 *     }   // fails when anything is still open there
 *
 *     @Test
 *     @RequiresKvm
 *     void hasAVcpu() {
 *         try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm()) {
 *             vm.createVcpu(0);
 *         }
 *     }
 * }
 * }
 */
@NullMarked
package dev.kvmvfio.junit;

import org.jspecify.annotations.NullMarked;
