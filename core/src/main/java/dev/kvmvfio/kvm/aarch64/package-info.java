/**
 * KVM on aarch64 alone: the facet that {@code vcpu.aarch64()} answers. On another architecture that throws an
 * {@link java.lang.UnsupportedOperationException}.
 */
@NullMarked
package dev.kvmvfio.kvm.aarch64;

import org.jspecify.annotations.NullMarked;
