package dev.kvmvfio.internal;

import dev.kvmvfio.kvm.aarch64.Aarch64Vcpu;
import dev.kvmvfio.kvm.x86.X86Kvm;
import java.lang.invoke.MethodHandles;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The way from the package {@code kvm} to the facets of an architecture, whose constructors are not public. They know
 * nothing of {@code kvm} in turn.
 */
public final class ArchitectureAccess {
    private static volatile @Nullable X86Access x86;
    private static volatile @Nullable Aarch64Access aarch64;

    private ArchitectureAccess() {
    }

    /** Called when {@link X86Kvm} is initialized. */
    public static void set(X86Access access) {
        x86 = access;
    }

    /** Called when {@link Aarch64Vcpu} is initialized. */
    public static void set(Aarch64Access access) {
        aarch64 = access;
    }

    /** The facets of x86-64. */
    public static X86Access x86() {
        if (x86 == null) {
            initialize(X86Kvm.class);
        }
        return Objects.requireNonNull(x86);
    }

    /** The facets of aarch64. */
    public static Aarch64Access aarch64() {
        if (aarch64 == null) {
            initialize(Aarch64Vcpu.class);
        }
        return Objects.requireNonNull(aarch64);
    }

    private static void initialize(Class<?> type) {
        try {
            MethodHandles.lookup().ensureInitialized(type);
        } catch (IllegalAccessException impossible) {
            throw new ExceptionInInitializerError(impossible);
        }
    }
}
