/**
 * KVM: the system, virtual machines, virtual processors, devices that the kernel models, memory slots, and interrupts:
 * irqfds, ioeventfds and the table of GSI routes. What one architecture alone has is in a package of its own, behind
 * {@code x86()} and {@code aarch64()}.
 *
 * <p>What it needs is a {@code /dev/kvm} that the user may read and write; {@code scripts/kvm-vfio doctor} and
 * {@link dev.kvmvfio.passthrough.HostCheck} say what is missing. The {@linkplain dev.kvmvfio module's page} has a first
 * program that runs as it stands, and the imports of the examples here.
 *
 * <p>{@link dev.kvmvfio.kvm.Kvm} is an open {@code /dev/kvm}, and makes each {@link dev.kvmvfio.kvm.Vm}. A VM has memory
 * by {@linkplain dev.kvmvfio.kvm.MemorySlot memory slots}, which can be read-only, or log the pages that the guest
 * writes:
 *
 * {@snippet lang=java :
 * try (Kvm kvm = Kvm.open();
 *         Vm vm = kvm.createVm();
 *         HostMemory ram = HostMemory.allocate(Kernel.linux(), 64 << 20);
 *         MemorySlot slot = vm.memory().add(0, ram, SlotFlag.DIRTY_LOG)) {
 *     BitSet written = slot.dirtyLog();
 *     System.out.println(written.cardinality() + " pages since the last call");
 * }
 * }
 *
 * <p>A {@link dev.kvmvfio.kvm.Vcpu} is a platform thread with a loop. The frequent exits allocate nothing, and a kick from
 * another thread is never lost. For a vCPU that was told where to begin, as the first program does:
 *
 * {@snippet lang=java :
 * while (true) {
 *     VcpuExit exit = vcpu.run();                // KVM_RUN
 *     switch (exit) {
 *         case VcpuExit.PortWrite out when out.port() == 0x3f8 -> System.out.write(out.value());
 *         case VcpuExit.PortRead in -> in.answer(0xff);
 *         case VcpuExit.MmioRead read -> read.answer(0);
 *         case VcpuExit.Interrupted _ -> System.out.println("another thread called kick()");
 *         case VcpuExit.Shutdown _, VcpuExit.Closed _ -> {
 *             return;
 *         }
 *         default -> throw vcpu.unhandled(exit); // what the guest did, where, and what helps
 *     }
 * }
 * }
 *
 * <p>Another thread looks at the registers of a vCPU that runs, or changes them, within a {@link dev.kvmvfio.kvm.Pause}, of
 * one vCPU or of the whole VM: its guest stands still until the pause is closed, and its loop does not notice.
 */
@NullMarked
package dev.kvmvfio.kvm;

import org.jspecify.annotations.NullMarked;
