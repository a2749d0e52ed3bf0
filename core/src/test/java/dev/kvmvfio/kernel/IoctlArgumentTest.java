package dev.kvmvfio.kernel;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.kvm.aarch64.kvm_aarch64_h;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_cpuid;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_nested_state;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_sev_cmd;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_tdx_cmd;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_xsave;
import dev.kvmvfio.bindings.vfio.vfio_device_feature;
import dev.kvmvfio.bindings.vfio.vfio_h;
import java.lang.foreign.Arena;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SequenceLayout;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** All ioctls of the bindings, each with the memory that the kernel takes for it, and with less. */
class IoctlArgumentTest {
    private static final Map<String, Long> KVM = ioctls(0xae, kvm_h.class, kvm_x86_64_h.class, kvm_aarch64_h.class);
    private static final Map<String, Long> VFIO_AND_IOMMUFD = ioctls(0x3b, vfio_h.class, iommufd_h.class);

    /** The bindings are generated for none of them. */
    private static final Pattern FOREIGN = Pattern.compile("KVM_(S390|PPC)_");
    /** Their argument is a number, or there is none. */
    private static final Set<String> NO_MEMORY = Set.of("KVM_GET_API_VERSION", "KVM_CREATE_VM", "KVM_CHECK_EXTENSION",
            "KVM_GET_VCPU_MMAP_SIZE", "KVM_CREATE_VCPU", "KVM_SET_NR_MMU_PAGES", "KVM_GET_NR_MMU_PAGES",
            "KVM_SET_TSS_ADDR", "KVM_CREATE_IRQCHIP", "KVM_CREATE_PIT", "KVM_SET_BOOT_CPU_ID", "KVM_SET_TSC_KHZ",
            "KVM_GET_TSC_KHZ", "KVM_RUN", "KVM_NMI", "KVM_KVMCLOCK_CTRL", "KVM_SMI", "KVM_RESET_DIRTY_RINGS",
            "KVM_GET_STATS_FD");
    private static final Set<String> NO_MEMORY_OF_VFIO = Set.of("VFIO_GET_API_VERSION", "VFIO_CHECK_EXTENSION",
            "VFIO_SET_IOMMU", "VFIO_GROUP_UNSET_CONTAINER", "VFIO_DEVICE_RESET", "VFIO_IOMMU_ENABLE",
            "VFIO_IOMMU_DISABLE");
    private static final Set<String> AN_INT = Set.of("VFIO_GROUP_SET_CONTAINER", "VFIO_DEVICE_GET_GFX_DMABUF");
    private static final String TEXT = "VFIO_GROUP_GET_DEVICE_FD";

    /** Which member counts what is behind the struct. */
    private static final Set<String> COUNTS = Set.of("nent", "nmsrs", "nr", "len", "n", "nevents");
    /** Their size is nowhere in them. */
    private static final Set<String> XSAVE = Set.of("KVM_GET_XSAVE", "KVM_GET_XSAVE2", "KVM_SET_XSAVE");
    private static final Set<String> NESTED_STATE = Set.of("KVM_GET_NESTED_STATE", "KVM_SET_NESTED_STATE");

    /** The number says that the kernel writes. */
    private static final Set<String> ONLY_READ = Set.of("KVM_SET_IRQCHIP", "KVM_SET_PIT", "KVM_CLEAR_DIRTY_LOG",
            "KVM_CREATE_GUEST_MEMFD", "KVM_MEMORY_ENCRYPT_REG_REGION", "KVM_MEMORY_ENCRYPT_UNREG_REGION",
            "KVM_ARM_MTE_COPY_TAGS", "KVM_ARM_GET_REG_WRITABLE_MASKS");
    /** The number says nothing. The first one does both. */
    private static final Set<String> ONLY_READ_BY_VFIO = Set.of("VFIO_DEVICE_FEATURE", "VFIO_GROUP_SET_CONTAINER", TEXT,
            "VFIO_DEVICE_SET_IRQS", "VFIO_DEVICE_PCI_HOT_RESET", "VFIO_IOMMU_MAP_DMA", "VFIO_DEVICE_GET_GFX_DMABUF",
            "VFIO_DEVICE_IOEVENTFD", "VFIO_DEVICE_DETACH_IOMMUFD_PT", "VFIO_IOMMU_DIRTY_PAGES", "IOMMU_DESTROY",
            "IOMMU_IOAS_ALLOW_IOVAS", "IOMMU_HWPT_SET_DIRTY_TRACKING", "IOMMU_HWPT_GET_DIRTY_BITMAP",
            "IOMMU_IOAS_CHANGE_PROCESS", "VFIO_IOMMU_SPAPR_REGISTER_MEMORY", "VFIO_IOMMU_SPAPR_TCE_REMOVE");

    private final Arena arena = Arena.ofConfined();
    private int calls;
    private int extension;
    private final Kernel kernel = (Kernel) Proxy.newProxyInstance(Kernel.class.getClassLoader(),
            new Class<?>[]{Kernel.class}, (_, _, arguments) -> {
                calls++;
                return (long) arguments[1] == kvm_h.KVM_CHECK_EXTENSION() ? extension : 0;
            });
    private final FileDescriptor file = FileDescriptor.own(kernel, 7, "file");

    @AfterEach
    void close() {
        arena.close();
    }

    private static Map<String, Long> ioctls(int subsystem, Class<?>... headers) {
        return Arrays.stream(headers).flatMap(header -> Arrays.stream(header.getMethods()))
                .filter(method -> Modifier.isStatic(method.getModifiers()) && method.getParameterCount() == 0)
                .filter(method -> value(method) instanceof Number number
                        && (number.intValue() >> 8 & 0xff) == subsystem)
                // What aarch64 has in another size than x86-64 is checked by its number there.
                .collect(Collectors.toMap(Method::getName, method -> ((Number) value(method)).longValue(),
                        (first, second) -> first));
    }

    private static Object value(Method constant) {
        try {
            return constant.invoke(null);
        } catch (ReflectiveOperationException impossible) {
            throw new AssertionError(constant.toString(), impossible);
        }
    }

    private static Ioctl ioctl(String name) {
        Long number = KVM.containsKey(name) ? KVM.get(name) : VFIO_AND_IOMMUFD.get(name);
        return new Ioctl(name, number);
    }

    /** The struct that the argument points to, as far as an observer knows it. */
    private static Optional<GroupLayout> struct(String name) {
        if (name.equals("KVM_SET_CPUID")) {
            return Optional.of(kvm_cpuid.layout());
        }
        return Stream.of(FileKind.values()).map(kind -> kind.ioctls().find(ioctl(name).number()))
                .filter(known -> known.name().equals(name)).map(Ioctls.Known::layout)
                .filter(GroupLayout.class::isInstance).map(GroupLayout.class::cast).findFirst();
    }

    private boolean isRefused(Ioctl ioctl, MemorySegment argument) {
        int before = calls;
        try {
            file.ioctl(ioctl, argument);
            assertThat(calls).isEqualTo(before + 1);
            return false;
        } catch (IllegalArgumentException refused) {
            assertThat(refused).hasMessageContaining(ioctl.name()).hasMessageContaining("file (fd 7)");
            assertThat(calls).isEqualTo(before);
            return true;
        }
    }

    /** Of memory that begins as the given one does, so much is taken and no byte less. */
    private void assertTakes(String name, MemorySegment begin, long size) {
        assertThat(isRefused(ioctl(name), begin.asSlice(0, size))).as("%s of %d bytes", name, size).isFalse();
        assertThat(size == 1 || isRefused(ioctl(name), begin.asSlice(0, size - 1)))
                .as("%s of %d bytes", name, size - 1).isTrue();
    }

    private MemorySegment zeroes(long size) {
        return arena.allocate(size, Long.BYTES);
    }

    private static Set<String> names(Map<String, Long> ioctls, Predicate<Ioctl> which) {
        return ioctls.keySet().stream().filter(name -> which.test(ioctl(name))).collect(Collectors.toSet());
    }

    @Test
    void ofKvmTheNumberSaysTheSize() {
        assertThat(KVM).hasSizeGreaterThan(120);
        for (String name : names(KVM, ioctl -> ioctl.size() > 0)) {
            assertTakes(name, zeroes(8192),
                    name.equals("KVM_MEMORY_ENCRYPT_OP") ? kvm_sev_cmd.sizeof() : ioctl(name).size());
        }
        assertThat(kvm_tdx_cmd.sizeof()).isEqualTo(kvm_sev_cmd.sizeof());
    }

    @Test
    void ofKvmWithoutASizeOnlyOneTakesMemory() {
        Set<String> without = names(KVM, ioctl -> ioctl.size() == 0 && !FOREIGN.matcher(ioctl.name()).lookingAt());
        assertThat(without).containsAll(NO_MEMORY);
        without.removeAll(NO_MEMORY);
        assertThat(without).containsExactly("KVM_REINJECT_CONTROL");
        assertTakes("KVM_REINJECT_CONTROL", zeroes(64), struct("KVM_REINJECT_CONTROL").orElseThrow().byteSize());
    }

    @Test
    void ofVfioAndIommufdTheFirstWordSaysTheSize() {
        Set<String> sized = names(VFIO_AND_IOMMUFD, _ -> true);
        assertThat(sized).hasSizeGreaterThan(50).containsAll(NO_MEMORY_OF_VFIO).containsAll(AN_INT).contains(TEXT);
        sized.removeAll(NO_MEMORY_OF_VFIO);
        sized.removeAll(AN_INT);
        sized.remove(TEXT);
        for (String name : sized) {
            struct(name).ifPresent(struct -> assertThat(struct.memberLayouts().getFirst().name()).as(name)
                    .get().isIn("argsz", "size"));
            MemorySegment begin = zeroes(64);
            assertTakes(name, begin, Integer.BYTES);
            begin.set(JAVA_INT_UNALIGNED, 0, 24);
            assertTakes(name, begin, 24);
            begin.set(JAVA_INT_UNALIGNED, 0, -1);
            assertThat(isRefused(ioctl(name), begin)).as(name).isTrue();
        }
    }

    @Test
    void otherMemoryOfVfio() {
        MemorySegment large = zeroes(64);
        large.set(JAVA_INT_UNALIGNED, 0, 1 << 20);
        for (String name : AN_INT) {
            assertTakes(name, large, Integer.BYTES);
        }
        MemorySegment text = arena.allocateFrom("0000:6a:01.0");
        assertTakes(TEXT, text, text.byteSize());
    }

    @Test
    void whatIsBehindAStructIsCounted() {
        Set<String> counted = names(KVM, ioctl -> struct(ioctl.name()).map(IoctlArgumentTest::array).isPresent());
        assertThat(counted).containsAll(XSAVE).containsAll(NESTED_STATE).hasSize(16 + XSAVE.size());
        counted.removeAll(XSAVE);
        counted.removeAll(NESTED_STATE);
        for (String name : counted) {
            GroupLayout struct = struct(name).orElseThrow();
            SequenceLayout array = array(struct);
            MemoryLayout count = struct.memberLayouts().stream()
                    .filter(member -> member.name().filter(COUNTS::contains).isPresent()).findFirst().orElseThrow();
            MemorySegment begin = zeroes(1024);
            begin.set(JAVA_INT_UNALIGNED, offset(struct, count), 5);
            assertTakes(name, begin, struct.byteSize() + 5 * array.elementLayout().byteSize());
            begin.set(JAVA_INT_UNALIGNED, offset(struct, count), -1);
            assertThat(isRefused(ioctl(name), begin)).as(name).isTrue();
        }
    }

    private static long offset(GroupLayout struct, MemoryLayout member) {
        return struct.byteOffset(PathElement.groupElement(member.name().orElseThrow()));
    }

    /** The array without a length that a struct ends in, as it is or in a union; null when it does not. */
    private static SequenceLayout array(GroupLayout struct) {
        MemoryLayout last = struct.memberLayouts().getLast();
        return switch (last) {
            case SequenceLayout array when array.elementCount() == 0 -> array;
            case GroupLayout inner -> array(inner);
            default -> null;
        };
    }

    @Test
    void aNestedStateSaysHowLargeItIs() {
        for (String name : NESTED_STATE) {
            MemorySegment begin = zeroes(1024);
            kvm_nested_state.size(begin, 1000);
            assertTakes(name, begin, 1000);
            kvm_nested_state.size(begin, 1);
            assertTakes(name, begin, kvm_nested_state.sizeof());
        }
    }

    @Test
    void howLargeAnXsaveIsTheVmKnows() {
        FileDescriptor vm = FileDescriptor.own(kernel, 5, FileKind.VM, "VM");
        FileDescriptor vcpu = FileDescriptor.ownMadeBy(vm, 6, FileKind.VCPU, "vCPU 0");
        MemorySegment xsave = zeroes(11008);
        for (int answer : new int[]{0, 4096, 11008}) {
            extension = answer;
            int least = Math.max(answer, (int) kvm_xsave.sizeof());
            for (String name : Set.of("KVM_GET_XSAVE2", "KVM_SET_XSAVE")) {
                assertThat(vcpu.ioctl(ioctl(name), xsave.asSlice(0, least))).isZero();
                assertThatThrownBy(() -> vcpu.ioctl(ioctl(name), xsave.asSlice(0, least - 1)))
                        .isInstanceOf(IllegalArgumentException.class).hasMessage(
                                "%s on vCPU 0 (fd 6) takes %d bytes of memory, and this segment has %d", name, least,
                                least - 1);
            }
        }
    }

    @Test
    void memoryThatIsWrittenIsNotReadOnly() {
        for (String name : names(KVM, ioctl -> ioctl.size() > 0)) {
            assertThat(isRefused(ioctl(name), zeroes(8192).asReadOnly())).as(name)
                    .isEqualTo(ioctl(name).kernelWrites() && !ONLY_READ.contains(name));
        }
        Set<String> ofVfio = names(VFIO_AND_IOMMUFD, _ -> true);
        assertThat(ofVfio).containsAll(ONLY_READ_BY_VFIO);
        ofVfio.removeAll(NO_MEMORY_OF_VFIO);
        for (String name : ofVfio) {
            assertThat(isRefused(ioctl(name), zeroes(64).asReadOnly())).as(name)
                    .isEqualTo(!ONLY_READ_BY_VFIO.contains(name));
        }
    }

    @Test
    void aFeatureIsWrittenWhenItIsTransferred() {
        MemorySegment feature = zeroes(16);
        vfio_device_feature.argsz(feature, 16);
        vfio_device_feature.flags(feature, vfio_h.VFIO_DEVICE_FEATURE_GET());
        assertThat(isRefused(ioctl("VFIO_DEVICE_FEATURE"), feature.asReadOnly())).isTrue();
        vfio_device_feature.flags(feature, vfio_h.VFIO_DEVICE_FEATURE_PROBE());
        assertThat(isRefused(ioctl("VFIO_DEVICE_FEATURE"), feature.asReadOnly())).isFalse();
    }

    @Test
    void anAddressIsNotLookedAt() {
        for (Map<String, Long> all : List.of(KVM, VFIO_AND_IOMMUFD)) {
            for (String name : all.keySet()) {
                for (MemorySegment address : List.of(MemorySegment.NULL, MemorySegment.ofAddress(0x1234))) {
                    assertThat(isRefused(ioctl(name), address)).as(name).isFalse();
                }
            }
        }
    }

    @Test
    void memoryOnTheHeapIsRefusedAlways() {
        for (Map<String, Long> all : List.of(KVM, VFIO_AND_IOMMUFD)) {
            for (String name : all.keySet()) {
                assertThat(isRefused(ioctl(name), MemorySegment.ofArray(new long[1024]))).as(name).isTrue();
                assertThat(isRefused(ioctl(name), MemorySegment.ofArray(new byte[0]))).as(name).isTrue();
            }
        }
    }

    /** The kernel looks at 32 bits, so some programs have the number as an int. */
    @Test
    void aNumberMayBeNegative() {
        MemorySegment msrs = zeroes(64);
        msrs.set(JAVA_INT_UNALIGNED, 0, 3);
        Ioctl negative = new Ioctl("KVM_GET_MSRS", (int) kvm_x86_64_h.KVM_GET_MSRS());
        assertThat(negative.number()).isNegative();
        assertThat(isRefused(negative, msrs.asSlice(0, 55))).isTrue();
        assertThat(isRefused(negative, msrs.asSlice(0, 56))).isFalse();
    }

    @Test
    void ofOtherSubsystemsTheNumberCounts() {
        Ioctl get = new Ioctl("FS_IOC_GETFLAGS", 0x80086601L);
        assertThat(isRefused(get, zeroes(7))).isTrue();
        assertThat(isRefused(get, zeroes(8))).isFalse();
        assertThat(isRefused(get, zeroes(8).asReadOnly())).isTrue();
        assertThat(isRefused(new Ioctl("TIOCGWINSZ", 0x5413), zeroes(1))).isFalse();
    }
}
