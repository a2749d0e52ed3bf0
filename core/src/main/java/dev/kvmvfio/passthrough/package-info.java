/**
 * A device for a virtual machine in one call, the guest's memory and its devices together, and what a host lacks.
 *
 * <p>{@link dev.kvmvfio.passthrough.Passthrough#of} begins a request, and attaching the device does all steps or none.
 * {@link dev.kvmvfio.passthrough.GuestMemory} keeps memory slots and DMA mappings together, in all attached devices or in
 * none, and {@link dev.kvmvfio.passthrough.GuestBar} gives the guest what of a BAR can be mapped:
 *
 * {@snippet lang=java :
 * try (Kvm kvm = Kvm.open();
 *         Vm vm = kvm.createVm();
 *         HostMemory ram = HostMemory.of(Kernel.linux(), 1L << 30)
 *                 .memfd("guest").hugePages(HugePages.SIZE_2M).allocate();
 *         HostMemory more = HostMemory.allocate(Kernel.linux(), 64 << 20);
 *         GuestMemory memory = GuestMemory.of(vm)) {
 *     memory.add(0, ram);
 *     Passthrough attached = Passthrough.of("0000:6a:01.0").memory(memory).attach(vm);
 *     // The device reaches it too.
 *     GuestMemory.Block block = memory.add(1L << 32, more, SlotFlag.DIRTY_LOG);
 *     BitSet written = block.slot().dirtyPages();
 *     GuestBar bar = GuestBar.of(vm, attached.device().region(Region.BAR0));
 *     bar.place(0xe000_0000L);         // and again, when the guest moves it
 *     block.close();
 * }
 * }
 *
 * <p>An interrupt of the device reaches the guest without the program: eventfds lead from VFIO to KVM, and for INTx back
 * again. {@link dev.kvmvfio.passthrough.IntxLine} and {@link dev.kvmvfio.passthrough.MsiVectors} connect them:
 *
 * {@snippet lang=java :
 * try (Kvm kvm = Kvm.open(); Vm vm = kvm.createVm()) {
 *     vm.createIrqchip();                         // before the first vCPU
 *     VfioDevice device = Passthrough.of("0000:6a:01.0").attach(vm).device();
 *     IntxLine line = IntxLine.connect(vm, device, 11); // GSI 11, with resample
 *     line.close();                               // the guest chose MSI-X
 *     MsiVectors vectors = MsiVectors.connect(vm, device.interrupt(Interrupt.MSIX), 4);
 *     vectors.program(3, 0xfee0_0000L, 0x41);     // it wrote an entry of its table
 *     vectors.mask(3);                            // what fires now waits
 *     vectors.unmask(3);
 * }
 * }
 *
 * <p>{@link dev.kvmvfio.passthrough.Candidate} tells which devices can be attached, and why not;
 * {@link dev.kvmvfio.passthrough.HostCheck} what a host lacks, and the command that mends it.
 */
package dev.kvmvfio.passthrough;
