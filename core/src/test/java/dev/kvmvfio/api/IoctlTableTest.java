package dev.kvmvfio.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.api.IoctlTable.Home;
import dev.kvmvfio.api.IoctlTable.Row;
import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.kvm.aarch64.kvm_aarch64_h;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.bindings.vfio.vfio_h;
import java.io.IOException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Says of every ioctl where it lives, and says so truly: of the bindings, of the sources, of the types. */
class IoctlTableTest {
    private static final String KVM = "linux/kvm.h";
    private static final String VFIO = "linux/vfio.h";
    private static final String IOMMUFD = "linux/iommufd.h";
    private static final List<String> HEADERS = List.of(KVM, VFIO, IOMMUFD);
    /** The bindings are generated for none of them. */
    private static final Set<String> FOREIGN = Set.of("powerpc", "s390", "riscv", "loongarch");
    private static final String TYPES_TO_COME = "Types to come";

    private static final Class<?>[] KVM_HEADERS = {kvm_h.class, kvm_x86_64_h.class, kvm_aarch64_h.class};
    private static final Pattern MADE = Pattern.compile("new Ioctl\\(\\s*\"(\\w+)\"");
    private static final String EXIT = "KVM_EXIT_(?!IO_|HYPERCALL_|HYPERV_|XEN_|FAIL_ENTRY_|ARM_SEA_).*";
    private static final String FEATURE = "VFIO_DEVICE_FEATURE_(?!GET$|SET$|PROBE|MASK|SET_MASTER|CLEAR_MASTER).*";
    private static final String DEVICE_TYPE = "KVM_DEV_TYPE_(?!MAX).*";

    private final IoctlTable table = new IoctlTable();
    private final Map<String, PublicType> types = PublicType.all().stream()
            .collect(Collectors.toMap(PublicType::name, Function.identity(), (first, second) -> first));

    @Test
    void everyIoctlOfTheBindingsHasAHome() {
        Set<String> kvm = ioctls(0xae, KVM_HEADERS);
        assertThat(names(rows(KVM))).containsAll(kvm).hasSizeGreaterThan(150);
        assertThat(names(rows(VFIO))).isEqualTo(ioctls(0x3b, vfio_h.class)).hasSizeGreaterThan(30);
        assertThat(names(rows(IOMMUFD))).isEqualTo(ioctls(0x3b, iommufd_h.class)).hasSizeGreaterThan(20);
        assertThat(rows(KVM)).filteredOn(row -> !kvm.contains(row.name())).as("without bindings").isNotEmpty()
                .allMatch(row -> FOREIGN.contains(row.place()) || row.place().startsWith("Powerpc"));
    }

    @Test
    void soHasWhatIsBehindTheirNumbers() {
        assertThat(names(rows("Exits of KVM_RUN"))).isEqualTo(constants(EXIT, KVM_HEADERS));
        assertThat(names(rows("Features of VFIO_DEVICE_FEATURE"))).isEqualTo(constants(FEATURE, vfio_h.class));
        assertThat(names(rows("Types of KVM_CREATE_DEVICE"))).isEqualTo(constants(DEVICE_TYPE, kvm_h.class));
        assertThat(constants("KVM_(DEV_VFIO|CAP)_.*", kvm_h.class))
                .containsAll(names(rows("Attributes of KVM_DEV_TYPE_VFIO")))
                .containsAll(names(rows("Capabilities of KVM_ENABLE_CAP")));
    }

    @Test
    void isInOrder() {
        for (String header : HEADERS) {
            assertThat(rows(header)).isSortedAccordingTo(Comparator.comparing(Row::name)).extracting(Row::name)
                    .doesNotHaveDuplicates();
        }
    }

    @Test
    void whatHasNoHomeSaysWhy() {
        assertThat(all()).filteredOn(row -> row.homes().isEmpty()).allSatisfy(row -> {
            assertThat(row.place()).isIn("raw", "powerpc", "s390", "riscv", "loongarch");
            if (row.place().equals("raw")) {
                assertThat(row.note()).as(row.name()).isNotEmpty();
            }
        });
    }

    @Test
    void aHomeIsThereUnlessItIsToCome() {
        for (Row row : all()) {
            for (Home home : row.homes()) {
                PublicType type = types.get(home.type());
                assertThat(home.isLinked()).as("%s: link of %s", row.name(), home).isEqualTo(type != null);
                assertThat(type != null && (home.member().isEmpty() || type.has(home.member())))
                        .as("%s: %s is there", row.name(), home).isEqualTo(!home.isToCome());
            }
        }
    }

    @Test
    void aMethodNamesItsIoctls() {
        List<String> silent = ioctls().flatMap(row -> row.homes().stream().filter(home -> !home.isToCome())
                .filter(home -> !types.get(home.type()).javadoc(home.member())
                        .matches("(?s).*\\b" + row.name() + "\\b.*"))
                .map(home -> home + " does not name " + row.name())).toList();
        assertThat(silent).isEmpty();
    }

    @Test
    void whatTheSourcesCallIsThereAndNothingElse() throws IOException {
        Set<String> called = new HashSet<>();
        try (Stream<Path> sources = Files.walk(PublicType.SOURCES)) {
            sources.filter(file -> file.toString().endsWith(".java") && !file.endsWith("package-info.java"))
                    .forEach(file -> MADE.matcher(PublicType.read(file)).results()
                            .forEach(made -> called.add(made.group(1))));
        }
        assertThat(names(ioctls().filter(Row::isThere).toList())).containsExactlyInAnyOrderElementsOf(called);
    }

    @Test
    void everyTypeToComeIsDescribed() {
        Set<String> toCome = all().stream().flatMap(row -> row.homes().stream()).filter(home -> !home.isLinked())
                .map(Home::type).collect(Collectors.toSet());
        assertThat(names(rows(TYPES_TO_COME))).isEqualTo(toCome);
    }

    /** What is to come counts too, so that it is drawn where there is room for it. */
    @Test
    void noTypeGetsTooManyMethods() {
        Map<String, Set<String>> toCome = all().stream().flatMap(row -> row.homes().stream()).filter(Home::isToCome)
                .collect(Collectors.groupingBy(Home::type, Collectors.mapping(Home::member, Collectors.toSet())));
        toCome.forEach((name, methods) -> assertThat(
                methods.size() + (types.containsKey(name) ? types.get(name).ownMethods().size() : 0))
                .as(name).isLessThanOrEqualTo(PublicMethodsTest.LIMIT));
    }

    @Test
    void theLinksLeadToTheSources() {
        Map<String, String> expected = all().stream().flatMap(row -> row.homes().stream()).filter(Home::isLinked)
                .map(Home::type).distinct().collect(Collectors.toMap(Function.identity(),
                        name -> PublicType.CORE.relativize(types.get(name).source()).toString()));
        assertThat(table.links()).isEqualTo(expected);
        assertThat(expected.values()).allMatch(file -> Files.exists(PublicType.CORE.resolve(file)));
    }

    private Stream<Row> ioctls() {
        return HEADERS.stream().flatMap(header -> rows(header).stream());
    }

    private List<Row> rows(String section) {
        return table.rows(section);
    }

    private List<Row> all() {
        return table.sections().filter(section -> !section.equals(TYPES_TO_COME))
                .flatMap(section -> rows(section).stream()).toList();
    }

    private static Set<String> names(List<Row> rows) {
        return rows.stream().map(Row::name).collect(Collectors.toSet());
    }

    /** The numbers of ioctls have the subsystem's letter in their second byte. */
    private static Set<String> ioctls(int letter, Class<?>... headers) {
        return constants(headers).filter(method -> value(method) instanceof Number number
                && (number.intValue() >> 8 & 0xff) == letter).map(Method::getName).collect(Collectors.toSet());
    }

    private static Set<String> constants(String pattern, Class<?>... headers) {
        return constants(headers).map(Method::getName).filter(name -> name.matches(pattern))
                .collect(Collectors.toSet());
    }

    private static Stream<Method> constants(Class<?>... headers) {
        return Arrays.stream(headers).flatMap(header -> Arrays.stream(header.getMethods()))
                .filter(method -> Modifier.isStatic(method.getModifiers()) && method.getParameterCount() == 0);
    }

    private static Object value(Method constant) {
        try {
            return constant.invoke(null);
        } catch (ReflectiveOperationException impossible) {
            throw new AssertionError(constant.toString(), impossible);
        }
    }
}
