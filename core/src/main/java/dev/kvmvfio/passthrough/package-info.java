/**
 * A device for a virtual machine in one call, the guest's memory and its devices together, and what a host lacks.
 *
 * <p>What it needs: {@code /dev/kvm}, an IOMMU that is on, and a device that is bound to {@code vfio-pci}, with all other
 * devices of its IOMMU group free of the host's drivers. {@link dev.kvmvfio.passthrough.HostCheck} checks that, and
 * {@link dev.kvmvfio.pci.DriverBinding} binds. Examples have the imports of the {@linkplain dev.kvmvfio module's page}.
 *
 * <p>{@link dev.kvmvfio.passthrough.AttachedDevice#request} begins a request, and attaching the device does all steps or
 * none. {@link dev.kvmvfio.passthrough.GuestMemory} keeps memory slots and DMA mappings together, in all attached devices
 * or in none. What the guest gets of the device is the device's to give:
 *
 * {@snippet lang=java :
 * try (Kvm kvm = Kvm.open();
 *         Vm vm = kvm.createVm();
 *         HostMemory ram = HostMemory.request(Kernel.linux(), 1L << 30)
 *                 .memfd("guest").hugePages(HugePages.SIZE_2M).allocate();
 *         HostMemory more = HostMemory.allocate(Kernel.linux(), 64 << 20);
 *         GuestMemory memory = GuestMemory.create(vm, 0, ram)) {
 *     GuestDevice device = AttachedDevice.request("0000:6a:01.0").attach(memory).device();
 *     // The device reaches it too.
 *     GuestMemory.Block block = memory.add(1L << 32, more, SlotFlag.DIRTY_LOG);
 *     BitSet written = block.slot().dirtyLog();
 *     device.mapBar(0).place(0xe000_0000L);
 *     block.close();
 * }
 * }
 *
 * <p>A {@link dev.kvmvfio.vfio.GuestDevice}'s interrupts reach the guest without the program: eventfds lead from VFIO to
 * KVM, and for INTx back again.
 *
 * {@snippet lang=java :
 * try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm()) {
 *     vm.interrupts().createIrqchip();            // before the first vCPU
 *     GuestDevice device = AttachedDevice.request("0000:6a:01.0").attach(vm).device();
 *     IntxLine line = device.connectIntx(11);     // GSI 11, with resample
 *     line.close();                               // the guest chose MSI-X
 *     MsiVectors vectors = device.connectMsix(4);
 *     vectors.program(3, 0xfee0_0000L, 0x41);     // it wrote an entry of its table
 *     vectors.mask(3);                            // what fires now waits
 *     vectors.unmask(3);
 * }
 * }
 *
 * <p>{@link dev.kvmvfio.passthrough.Candidate} tells which devices can be attached, and why not;
 * {@link dev.kvmvfio.passthrough.HostCheck} what a host lacks, and the command that mends it.
 */
@NullMarked
package dev.kvmvfio.passthrough;

import org.jspecify.annotations.NullMarked;
