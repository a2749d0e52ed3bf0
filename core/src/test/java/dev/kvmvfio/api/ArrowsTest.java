package dev.kvmvfio.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Kernel;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.spi.ToolProvider;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The library's packages are floors of a house: each uses those below it, and what goes up is named here. */
class ArrowsTest {
    private static final Map<String, Set<String>> DOWN = Map.of(
            "passthrough", Set.of("vfio", "iommufd", "kvm", "dma", "pci", "kernel", "internal"),
            "vfio", Set.of("iommufd", "kvm", "dma", "pci", "kernel", "internal"),
            "iommufd", Set.of("dma", "kernel", "internal"),
            "kvm", Set.of("kvm.x86", "kvm.aarch64", "kernel", "internal"),
            "kvm.x86", Set.of("kernel", "internal"),
            "kvm.aarch64", Set.of("kernel", "internal"),
            "dma", Set.of("kernel", "internal"),
            "pci", Set.of("kernel", "internal"),
            "kernel", Set.of("internal"),
            "internal", Set.of());
    private static final Map<String, Set<String>> UP = Map.of(
            // An access interface speaks of the types that it opens.
            "internal", Set.of("kernel", "kvm.x86", "kvm.aarch64"),
            // DmaSpace is sealed, so it names its two kinds.
            "dma", Set.of("iommufd", "vfio"));

    private static final Path PICTURE = PublicType.CORE.resolve("../scripts/pictures.d/house.dot");
    private static final Pattern PART = Pattern.compile("subgraph cluster_core \\{(.*?)\\}", Pattern.DOTALL);
    private static final Pattern CHAIN = Pattern.compile("(\\w+(?: -> \\w+)+)( \\[style=dashed)?");
    /** Of what jdeps prints: two packages of this module. */
    private static final Pattern USE = Pattern.compile(
            "^ +(dev\\.kvmvfio\\.\\S+) +-> (dev\\.kvmvfio\\.\\S+) +dev\\.kvmvfio *$",
            Pattern.MULTILINE);

    /** That one package uses another one. */
    private record Arrow(String from, String to) {
        @Override
        public String toString() {
            return from + " -> " + to;
        }
    }

    /** Both ways: an arrow that nobody needs any more goes from the table too. */
    @Test
    void eachPackageUsesThese() {
        assertThat(uses()).containsExactlyInAnyOrderElementsOf(
                Stream.concat(arrows(DOWN), arrows(UP)).collect(Collectors.toSet()));
    }

    @Test
    void downLeadsNowhereBack() {
        assertThat(DOWN.keySet()).noneMatch(name -> below(name, DOWN).contains(name));
    }

    /** An arrow that others make up is left out. */
    @Test
    void thePictureShowsThem() {
        Map<String, Set<String>> drawn = drawn(false);
        assertThat(arrows(drawn)).isSubsetOf(arrows(DOWN).toList());
        assertThat(arrows(DOWN)).allMatch(arrow -> below(arrow.from, drawn).contains(arrow.to));
        assertThat(arrows(drawn(true))).as("dashed").containsExactlyInAnyOrderElementsOf(arrows(UP).toList());
    }

    private static Stream<Arrow> arrows(Map<String, Set<String>> table) {
        return table.entrySet().stream().flatMap(row -> row.getValue().stream().map(to -> new Arrow(row.getKey(), to)));
    }

    /** Where the arrows of a table lead from a package, in one step or more. */
    private static Set<String> below(String name, Map<String, Set<String>> table) {
        return table.getOrDefault(name, Set.of()).stream()
                .flatMap(next -> Stream.concat(Stream.of(next), below(next, table).stream()))
                .collect(Collectors.toSet());
    }

    private static Set<Arrow> uses() {
        StringWriter text = new StringWriter();
        int result = ToolProvider.findFirst("jdeps").orElseThrow().run(new PrintWriter(text), new PrintWriter(text),
                "--ignore-missing-deps", "-verbose:package", "-filter:package", "--module-path",
                classes(system_h.class), classes(Kernel.class));
        assertThat(result).as("%s", text).isZero();
        return USE.matcher(text.toString()).results()
                .map(use -> new Arrow(name(use.group(1)), name(use.group(2)))).collect(Collectors.toSet());
    }

    private static String classes(Class<?> type) {
        Module module = type.getModule();
        return Path.of(module.getLayer().configuration().findModule(module.getName()).orElseThrow().reference()
                .location().orElseThrow()).toString();
    }

    private static String name(String of) {
        return of.substring("dev.kvmvfio.".length());
    }

    private static Map<String, Set<String>> drawn(boolean dashed) {
        String part = PART.matcher(PublicType.read(PICTURE)).results().map(found -> found.group(1)).findFirst()
                .orElseThrow();
        return CHAIN.matcher(part).results().filter(chain -> dashed == (chain.group(2) != null))
                .flatMap(chain -> steps(List.of(chain.group(1).split(" -> "))))
                .collect(Collectors.groupingBy(Arrow::from, Collectors.mapping(Arrow::to, Collectors.toSet())));
    }

    private static Stream<Arrow> steps(List<String> chain) {
        return Stream.iterate(1, i -> i < chain.size(), i -> i + 1).flatMap(i -> packages(chain.get(i - 1)).stream()
                .flatMap(from -> packages(chain.get(i)).stream().map(to -> new Arrow(from, to))));
    }

    /** The architectures share a node. */
    private static List<String> packages(String node) {
        return node.equals("x86") ? List.of("kvm.x86", "kvm.aarch64") : List.of(node);
    }
}
