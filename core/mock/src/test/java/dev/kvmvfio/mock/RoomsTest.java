package dev.kvmvfio.mock;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.Kernel;
import java.io.IOException;
import java.lang.module.ModuleDescriptor.Exports;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReader;
import java.lang.module.ModuleReference;
import java.lang.reflect.Modifier;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The mock's packages are rooms of a house: each uses those below it, and none uses one above. */
class RoomsTest {
    private static final Path SOURCES = Path.of("src/main/java");
    private static final String ROOF = "dev.kvmvfio.mock";
    private static final String MODEL = ROOF + ".model";
    private static final String SYSTEM = ROOF + ".internal.system";
    private static final String PCI = ROOF + ".internal.pci";
    private static final String KVM = ROOF + ".internal.kvm";
    private static final String IOMMUFD = ROOF + ".internal.iommufd";
    private static final String VFIO = ROOF + ".internal.vfio";
    private static final Map<String, Set<String>> BELOW = Map.of(
            ROOF, Set.of(VFIO, IOMMUFD, KVM, PCI, SYSTEM, MODEL),
            VFIO, Set.of(IOMMUFD, KVM, PCI, SYSTEM, MODEL),
            IOMMUFD, Set.of(PCI, SYSTEM, MODEL),
            KVM, Set.of(SYSTEM, MODEL),
            PCI, Set.of(SYSTEM, MODEL),
            SYSTEM, Set.of(MODEL),
            MODEL, Set.of());
    private static final Map<String, String> NODES = Map.of("roof", ROOF, "mvfio", VFIO, "miommufd", IOMMUFD, "mkvm",
            KVM,
            "mpci", PCI, "msystem", SYSTEM, "model", MODEL);
    private static final Path PICTURE = Path.of("../../scripts/pictures.d/house.dot");
    private static final Pattern CHAIN = Pattern.compile("\\w+(?: -> \\w+)+");
    /** A type of the library by its full name, as in an import, in code or in a link of the Javadoc; and its package. */
    private static final Pattern NAME = Pattern.compile("\\b(dev\\.kvmvfio(?:\\.[a-z]\\w*)*)\\.[A-Z*]");

    /** What a source uses of another package. */
    private record Arrow(Path from, String room, String to) {
    }

    private static List<Path> sources() throws IOException {
        try (Stream<Path> files = Files.walk(SOURCES)) {
            return files.filter(file -> file.toString().endsWith(".java") && !file.endsWith("module-info.java"))
                    .sorted()
                    .toList();
        }
    }

    private static String room(Path source) {
        return SOURCES.relativize(source.getParent()).toString().replace('/', '.');
    }

    private static Stream<Arrow> arrows(Path source) {
        try {
            String text = Files.readString(source);
            return NAME.matcher(text).results().map(name -> new Arrow(source, room(source), name.group(1)));
        } catch (IOException failure) {
            throw new IllegalStateException(failure);
        }
    }

    @Test
    void everyPackageHasItsPlace() throws IOException {
        assertThat(sources().stream().map(RoomsTest::room).collect(Collectors.toSet())).isEqualTo(BELOW.keySet());
    }

    @Test
    void arrowsGoDown() throws IOException {
        List<Arrow> between = sources().stream().flatMap(RoomsTest::arrows)
                .filter(arrow -> arrow.to.startsWith(ROOF) && !arrow.to.equals(arrow.room)).toList();
        assertThat(between).hasSizeGreaterThan(100);
        assertThat(between).filteredOn(arrow -> !BELOW.get(arrow.room).contains(arrow.to)).as("arrows up").isEmpty();
    }

    /** CONTRIBUTING's picture. An arrow that others make up is left out. */
    @Test
    void thePictureShowsThem() throws IOException {
        Map<String, Set<String>> drawn = drawn();
        assertThat(drawn.keySet()).allSatisfy(
                room -> assertThat(BELOW.get(room)).as(room).containsAll(drawn.get(room))
                        .isEqualTo(below(room, drawn)));
    }

    private static Map<String, Set<String>> drawn() throws IOException {
        String picture = Files.readString(PICTURE);
        String part = picture.substring(picture.indexOf("subgraph cluster_mock {"));
        Map<String, Set<String>> drawn = new HashMap<>();
        NODES.values().forEach(room -> drawn.put(room, new HashSet<>()));
        CHAIN.matcher(part.substring(0, part.indexOf('}'))).results().map(chain -> chain.group().split(" -> "))
                .forEach(chain -> IntStream.range(1, chain.length)
                        .forEach(i -> drawn.get(NODES.get(chain[i - 1])).add(NODES.get(chain[i]))));
        return drawn;
    }

    /** Where the arrows lead from a room, in one step or more. */
    private static Set<String> below(String room, Map<String, Set<String>> arrows) {
        return arrows.get(room).stream()
                .flatMap(next -> Stream.concat(Stream.of(next), below(next, arrows).stream()))
                .collect(Collectors.toSet());
    }

    /** What the library makes of its calls must not be what the mock takes for true. */
    @Test
    void ofTheLibraryOnlyTheSeamIsUsed() throws IOException {
        assertThat(sources().stream().flatMap(RoomsTest::arrows).map(Arrow::to)
                .filter(to -> !to.startsWith(ROOF) && !to.startsWith("dev.kvmvfio.bindings"))).isNotEmpty()
                .containsOnly("dev.kvmvfio.kernel");
    }

    @Test
    void noTypeHasTheNameOfOneOfTheLibrary() throws IOException {
        Set<String> names = classes(MockKernel.class).map(RoomsTest::simpleName).collect(Collectors.toSet());
        assertThat(names).contains("MockKernel", "Request");
        Set<String> exported = module(Kernel.class).descriptor().exports().stream().map(Exports::source)
                .collect(Collectors.toSet());
        assertThat(classes(Kernel.class).filter(RoomsTest::isPublic)
                .filter(name -> exported.contains(name.substring(0, name.lastIndexOf('.')))).map(RoomsTest::simpleName))
                .contains("Kernel", "Vm", "EventFd").doesNotContainAnyElementsOf(names);
    }

    @Test
    void noTypeHidesOneOfJava() throws IOException {
        assertThat(classes(MockKernel.class).map(RoomsTest::simpleName))
                .noneMatch(name -> Object.class.getResource(name + ".class") != null);
    }

    /** The module that a class is of, also when it was found on the class path. */
    static ModuleReference module(Class<?> type) {
        try {
            Path home = Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
            return ModuleFinder.of(home).findAll().iterator().next();
        } catch (URISyntaxException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** The names of all classes of the module that a class is of. */
    static Stream<String> classes(Class<?> type) throws IOException {
        try (ModuleReader reader = module(type).open()) {
            return reader.list().filter(file -> file.endsWith(".class") && !file.endsWith("-info.class"))
                    .map(file -> file.replace(".class", "").replace('/', '.')).toList().stream();
        }
    }

    private static String simpleName(String name) {
        return name.substring(Math.max(name.lastIndexOf('.'), name.lastIndexOf('$')) + 1);
    }

    /** Whether a program can name it without another type's name in front. */
    private static boolean isPublic(String name) {
        Class<?> type = load(name);
        return type.getEnclosingClass() == null && Modifier.isPublic(type.getModifiers());
    }

    /** A class of that name, which runs nothing of it. */
    static Class<?> load(String name) {
        try {
            return Class.forName(name, false, RoomsTest.class.getClassLoader());
        } catch (ClassNotFoundException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
