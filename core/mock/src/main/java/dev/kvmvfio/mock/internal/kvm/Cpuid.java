package dev.kvmvfio.mock.internal.kvm;

import static dev.kvmvfio.kernel.Errno.E2BIG;
import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid2;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid_entry2;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Set;

/** What {@code CPUID} answers on a vCPU, and so what its registers may hold. */
final class Cpuid {
    private static final int MOST_ENTRIES = 256;
    private static final int VENDOR = 0;
    private static final int AMD = 0x6874_7541;
    private static final int HYGON = 0x6f67_7948;
    private static final int INTEL = 0x756e_6547;
    private static final int FEATURES = 1;
    private static final int X2APIC_FEATURE = 1 << 21;
    private static final int EXTENDED_FUNCTIONS = 0x8000_0000;
    private static final int EXTENDED_FEATURES = 0x8000_0001;
    private static final int NO_EXECUTE = 1 << 20;
    private static final int FAST_FXSAVE = 1 << 25;
    private static final int LONG_MODE = 1 << 29;
    private static final int ADDRESS_SIZES = 0x8000_0008;
    private static final int ADDRESS_BITS = 36;
    private static final Set<Integer> VIRTUAL_ADDRESS_BITS = Set.of(0, 48, 57);

    private static final long EFER_SCE = 1;
    private static final long EFER_LME = 1 << 8;
    private static final long EFER_LMA = 1 << 10;
    private static final long EFER_NX = 1 << 11;
    private static final long EFER_FFXSR = 1 << 14;

    private final Machine machine;
    private int vendor;
    private int extendedFeatures;
    private int addressBits = ADDRESS_BITS;
    private boolean hasX2apic;

    Cpuid(Machine machine) {
        this.machine = machine;
    }

    long set(Argument argument) {
        int entries = kvm_cpuid2.nent(argument.read(0, kvm_cpuid2.sizeof()));
        Refusal.when(Integer.compareUnsigned(entries, MOST_ENTRIES) > 0, E2BIG);
        MemorySegment answers = argument.read(kvm_cpuid2.sizeof(), entries * kvm_cpuid_entry2.sizeof());
        int sizes = find(answers, ADDRESS_SIZES, kvm_cpuid_entry2.eax$offset());
        Refusal.when(!VIRTUAL_ADDRESS_BITS.contains(sizes >>> 8 & 0xff), EINVAL);
        int last = find(answers, EXTENDED_FUNCTIONS, kvm_cpuid_entry2.eax$offset());
        addressBits = Integer.compareUnsigned(last, ADDRESS_SIZES) < 0 ? ADDRESS_BITS : sizes & 0xff;
        vendor = find(answers, VENDOR, kvm_cpuid_entry2.ebx$offset());
        extendedFeatures = find(answers, EXTENDED_FEATURES, kvm_cpuid_entry2.edx$offset());
        hasX2apic = (find(answers, FEATURES, kvm_cpuid_entry2.ecx$offset()) & X2APIC_FEATURE) != 0;
        return 0;
    }

    /** A register of the answer to a function, or 0 when there is none. */
    private static int find(MemorySegment answers, int function, long register) {
        return answers.elements(kvm_cpuid_entry2.layout())
                .filter(entry -> kvm_cpuid_entry2.function(entry) == function).findFirst()
                .map(entry -> entry.get(ValueLayout.JAVA_INT, register)).orElse(0);
    }

    boolean isAddress(long value) {
        return value >>> addressBits == 0;
    }

    boolean hasX2apic() {
        return hasX2apic;
    }

    /** Linux 7 wants CPUID to tell of what is switched on. */
    boolean allowsEfer(long efer) {
        long known = EFER_SCE | (has(LONG_MODE) ? EFER_LME | EFER_LMA : 0) | (has(NO_EXECUTE) ? EFER_NX : 0)
                | (has(FAST_FXSAVE) ? EFER_FFXSR : 0);
        return !machine.isAtLeast(KernelProfile.V7_2) || (efer & ~known) == 0;
    }

    private boolean has(int extendedFeature) {
        return (extendedFeatures & extendedFeature) != 0;
    }

    /** AMD's processors keep 32 bits of the addresses of SYSENTER, and KVM does as the guest's processor would. */
    boolean hasLongSysenter() {
        return machine.isAtLeast(KernelProfile.V6_12) ? vendor != AMD && vendor != HYGON : vendor == INTEL;
    }

    /** What a fresh machine tells of its processor: an AMD one of 64 bits, and that it runs under KVM. */
    static long supported(Argument argument) {
        int[][] answers = {{VENDOR, 1, AMD, 0x444d_4163, 0x6974_6e65},
            {FEATURES, 0xa1_0f11, 0x800, 0x8120_2000, 0x78b_fbff},
            {EXTENDED_FUNCTIONS, EXTENDED_FEATURES, AMD, 0x444d_4163, 0x6974_6e65},
            {EXTENDED_FEATURES, 0xa1_0f11, 0, 0x40_0393, 0x23d3_fbff},
            {0x4000_0000, 0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d}, {0x4000_0001, 0x100_7efb, 0, 0, 0}};
        int room = kvm_cpuid2.nent(argument.read(0, kvm_cpuid2.sizeof()));
        Refusal.when(Integer.compareUnsigned(room, answers.length) < 0, E2BIG);
        MemorySegment cpuid = Argument.allocate(kvm_cpuid2.sizeof() + answers.length * kvm_cpuid_entry2.sizeof());
        kvm_cpuid2.nent(cpuid, answers.length);
        for (int i = 0; i < answers.length; i++) {
            MemorySegment entry = cpuid.asSlice(kvm_cpuid2.sizeof() + i * kvm_cpuid_entry2.sizeof(),
                    kvm_cpuid_entry2.sizeof());
            kvm_cpuid_entry2.function(entry, answers[i][0]);
            kvm_cpuid_entry2.eax(entry, answers[i][1]);
            kvm_cpuid_entry2.ebx(entry, answers[i][2]);
            kvm_cpuid_entry2.ecx(entry, answers[i][3]);
            kvm_cpuid_entry2.edx(entry, answers[i][4]);
        }
        argument.write(0, cpuid);
        return 0;
    }
}
