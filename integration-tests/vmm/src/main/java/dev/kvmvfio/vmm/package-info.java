/**
 * An example of a virtual machine monitor: a PC with one processor that has devices of the host.
 *
 * <p>{@link dev.kvmvfio.vmm.Machine} is the virtual machine and the loop that answers its exits,
 * {@link dev.kvmvfio.vmm.PciBus} the bus that the devices are on. A guest without an operating system needs no more:
 *
 * {@snippet :
 * try (Machine machine = new Machine(Kernel.linux(), 64 << 20)) {
 *     machine.ports().add(0x3f8, 1, (_, _, value) -> System.out.write(value));
 *     machine.attach(PciAddress.parse("0000:6a:01.0"), VfioInterface.CDEV, 1);
 *     // The guest's program is in its memory, and is not shown here.
 *     LongMode.enter(machine.vcpu(), machine.ram().segment(), 0x10000, 0x20000);
 *     machine.run();
 * }
 * }
 *
 * <p>How a device gets into the guest: {@link dev.kvmvfio.vmm.AssignedDevice} has its {@code ConfigSpace}, where what the
 * host must not lose is emulated; a {@code Bar} for each of its memory BARs, whose memory slots follow what the guest
 * programs; and its {@code Interrupts}, which the guest switches between INTx, MSI and MSI-X. From then on the guest drives
 * the device without an exit.
 *
 * <p>{@link dev.kvmvfio.vmm.LinuxVmm} is the program, {@link dev.kvmvfio.vmm.LinuxMachine} what Linux expects of a PC, and
 * {@code LinuxLoader} puts the kernel into the guest's memory.
 */
package dev.kvmvfio.vmm;
