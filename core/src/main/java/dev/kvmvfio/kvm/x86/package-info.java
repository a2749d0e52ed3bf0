/**
 * KVM on x86-64 alone: the facets that {@code kvm.x86()}, {@code vm.x86()} and {@code vcpu.x86()} answer. On another
 * architecture these three throw an {@link java.lang.UnsupportedOperationException}.
 *
 * <p>What it needs is a {@code /dev/kvm} on x86-64. {@code setCpuid} gives each vCPU its own APIC id. Examples have the
 * imports of the {@linkplain dev.kvmvfio module's page}.
 *
 * <p>Structs are read and written with the accessors of the bindings ({@code dev.kvmvfio.bindings.kvm.x86_64}):
 *
 * {@snippet lang=java :
 * vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
 * // At the reset vector the code segment is below 4 GiB: this one begins at address 0.
 * vcpu.x86().updateSregs(sregs -> {
 *     kvm_segment.base(kvm_sregs.cs(sregs), 0);
 *     kvm_segment.selector(kvm_sregs.cs(sregs), (short) 0);
 * });
 * vcpu.x86().updateRegs(regs -> {
 *     kvm_regs.rip(regs, 0x1000);
 *     kvm_regs.rflags(regs, 2);
 * });
 * }
 */
@NullMarked
package dev.kvmvfio.kvm.x86;

import org.jspecify.annotations.NullMarked;
