package dev.kvmvfio.it.abi;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Every constant, size, alignment and offset of the bindings is what gcc makes of the kernel's own headers. */
@Tag("abi")
class AbiTest {
    /** jextract has no 128-bit integer. It leaves a gap in its place, so that all else is where it should be. */
    private static final List<CExpression> ALIGNED_LIKE_A_128_BIT_INTEGER = List
            .of(CExpression.alignment("struct user_fpsimd_state"), CExpression.alignment("struct kvm_regs"));

    /** Structs that end in what 6.12 does not know, where the kernel takes both, counts of all that there is, and spare. */
    private static final List<CExpression> GROWN_SINCE_6_12 = List.of(
            CExpression.size("struct vfio_device_bind_iommufd"),
            CExpression.alignment("struct vfio_device_bind_iommufd"),
            CExpression.size("struct vfio_device_attach_iommufd_pt"),
            CExpression.size("struct vfio_device_detach_iommufd_pt"),
            CExpression.size("struct kvm_svm_nested_state_hdr"),
            CExpression.memberSize("struct kvm_nested_state", "hdr.svm"), CExpression.constant("KVM_DEV_TYPE_MAX"),
            CExpression.constant("KVM_SEV_NR_MAX"), CExpression.constant("VFIO_AP_NUM_IRQS"),
            CExpression.offset("struct statx", "__spare3"), CExpression.memberSize("struct statx", "__spare3"));

    private static final List<CExpression> ONLY_OF_SOME_ARCHITECTURES = Stream
            .of("KVM_CAP_VCPU_EVENTS", "KVM_GET_VCPU_EVENTS", "KVM_SET_VCPU_EVENTS").map(CExpression::constant)
            .toList();

    private static final Pattern ROW = Pattern.compile("^\\| ([A-Z]\\w+) \\|", Pattern.MULTILINE);

    @TempDir
    Path work;

    @ParameterizedTest
    @ValueSource(strings = {"x86_64", "aarch64"})
    void sameAsTheHeadersTheyCameFrom(String architecture) throws Exception {
        var comparison = compare("trixie-backports", architecture);
        assertThat(comparison.different()).as("different").isSubsetOf(ALIGNED_LIKE_A_128_BIT_INTEGER);
        assertThat(comparison.onlyInJava()).as("not in the headers").isEmpty();
        String origin = Files.readString(Headers.PROJECT.resolve("scripts/bindings/headers")).strip();
        if (comparison.version.equals(origin)) {
            assertThat(comparison.onlyInC()).as("not in the bindings").isEmpty();
        } else {
            System.out.println("  scripts/generate-bindings has newer headers to take than " + origin);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"x86_64", "aarch64"})
    void differFromOlderHeadersByGrowthOnly(String architecture) throws Exception {
        var different = compare("bookworm-backports", architecture).different();
        different.removeAll(ALIGNED_LIKE_A_128_BIT_INTEGER);
        assertThat(different).as("different").isSubsetOf(GROWN_SINCE_6_12);
    }

    /** There are no bindings of their own, so what is the same everywhere must be the same there too. */
    @ParameterizedTest
    @ValueSource(strings = {"riscv64", "loongarch64"})
    void otherArchitecturesHaveTheSameInCommon(String architecture) throws Exception {
        var comparison = compare("trixie-backports", architecture, Set.of("dev.kvmvfio.bindings.kvm",
                "dev.kvmvfio.bindings.vfio", "dev.kvmvfio.bindings.iommufd", "dev.kvmvfio.bindings.system"));
        assertThat(comparison.different()).as("different").isEmpty();
        assertThat(comparison.onlyInJava()).as("not in the headers").isSubsetOf(ONLY_OF_SOME_ARCHITECTURES);
        assertThat(comparison.compared()).as("ioctls, exits and flags").hasSizeGreaterThan(2000);
        assertThat(compare("trixie-backports", architecture, Set.of("dev.kvmvfio.bindings.system.aarch64")).different())
                .as("system calls").isEmpty();
    }

    /** {@code struct kvm_run} as far as an exit is read that all have in common. */
    @ParameterizedTest
    @ValueSource(strings = {"aarch64", "riscv64", "loongarch64"})
    void anExitIsWhereItIsOnX86(String architecture) throws Exception {
        var common = Stream.of("immediate_exit", "exit_reason", "mmio.phys_addr", "mmio.data", "mmio.len",
                "mmio.is_write", "fail_entry.hardware_entry_failure_reason", "system_event.type", "internal.suberror")
                .map(member -> CExpression.offset("struct kvm_run", member)).toList();
        var java = JavaAbi.of(Set.of("dev.kvmvfio.bindings.kvm.x86_64"));
        assertThat(new Headers("trixie-backports", architecture, work).evaluate(common)).isEqualTo(
                common.stream().collect(Collectors.toMap(member -> member, member -> java.get(member).longValue())));
    }

    /** Those that the bindings leave out, too. */
    @ParameterizedTest
    @ValueSource(strings = {"kvm", "vfio", "iommufd"})
    void everyIoctlOfTheHeadersHasItsRow(String name) throws Exception {
        String header = "linux/" + name + ".h";
        String table = Files.readString(Headers.PROJECT.resolve("core/IOCTLS.md")).split("## " + header + "\n", 2)[1]
                .split("\n## ", 2)[0];
        var headers = new Headers("trixie-backports", "x86_64", work);
        assertThat(ROW.matcher(table).results().map(row -> row.group(1)))
                .containsExactlyElementsOf(headers.ioctls(header)).isNotEmpty();
    }

    private Comparison compare(String suite, String architecture) throws Exception {
        return compare(suite, architecture,
                Set.of("dev.kvmvfio.bindings.kvm", "dev.kvmvfio.bindings.kvm." + architecture,
                        "dev.kvmvfio.bindings.vfio", "dev.kvmvfio.bindings.iommufd", "dev.kvmvfio.bindings.system",
                        "dev.kvmvfio.bindings.system." + architecture));
    }

    private Comparison compare(String suite, String architecture, Set<String> packages) throws Exception {
        var headers = new Headers(suite, architecture, work);
        var java = JavaAbi.of(packages);
        var declared = headers.declared();
        var asked = new TreeSet<>(java.keySet());
        asked.addAll(declared);
        var comparison = new Comparison(headers.version, java, declared, headers.evaluate(asked));
        System.out.println(headers.version + ", " + architecture + ":");
        comparison.print();
        return comparison;
    }

    private static Set<CExpression> minus(Collection<CExpression> all, Collection<CExpression> without) {
        var rest = new TreeSet<>(all);
        rest.removeAll(without);
        return rest;
    }

    /** What Java has, what the headers declare, and the value in C of those of them that have one. */
    private record Comparison(String version, Map<CExpression, Number> java, Set<CExpression> declared,
            Map<CExpression, Long> c) {
        Set<CExpression> onlyInJava() {
            return minus(java.keySet(), c.keySet());
        }

        Set<CExpression> onlyInC() {
            return minus(c.keySet(), java.keySet());
        }

        Set<CExpression> compared() {
            return minus(java.keySet(), onlyInJava());
        }

        Set<CExpression> different() {
            var different = compared();
            different.removeIf(expression -> isSame(java.get(expression), c.get(expression)));
            return different;
        }

        private static boolean isSame(Number java, long c) {
            return java instanceof Integer i ? c == i || c == Integer.toUnsignedLong(i) : c == java.longValue();
        }

        void print() {
            System.out.println("  compared: " + compared().stream()
                    .collect(Collectors.groupingBy(CExpression::kind, TreeMap::new, Collectors.counting())));
            print("different", different().stream()
                    .map(one -> "%s (%d in Java, %d in C)".formatted(one, java.get(one), c.get(one))).toList());
            System.out.println("  newer than these headers: " + newer().size());
            print("not in the bindings", onlyInC());
            print("without a value in C (of another architecture, incomplete, or a bit-field)",
                    minus(declared, c.keySet()));
        }

        /** Of a new struct not its members. */
        private Collection<CExpression> newer() {
            var onlyInJava = onlyInJava();
            return onlyInJava.stream().filter(expression -> switch (expression.kind()) {
                case CONSTANT, SIZE -> true;
                case MEMBER_OFFSET -> !onlyInJava.contains(CExpression.size(expression.type()));
                case ALIGNMENT, MEMBER_SIZE -> false;
            }).toList();
        }

        private static void print(String title, Collection<?> names) {
            if (!names.isEmpty()) {
                System.out.println("  " + title + ": " + names.size() + ": "
                        + names.stream().map(Object::toString).collect(Collectors.joining(", ")));
            }
        }
    }
}
