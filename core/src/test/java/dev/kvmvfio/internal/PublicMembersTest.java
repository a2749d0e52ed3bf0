package dev.kvmvfio.internal;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.ObservedKernel;
import java.io.IOException;
import java.lang.module.ModuleDescriptor;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.NullMarked;
import org.junit.jupiter.api.Test;

/**
 * What a user's completion offers is for users. An internal is reached through this package, so it is no public member of
 * an exported type. A protected member is a hook: one of {@link Handle}'s, or of a type that no user can extend; or it is
 * in a type that is made for users to extend.
 */
class PublicMembersTest {
    private static final Module MODULE = Handle.class.getModule();
    private static final Set<Class<?>> FOR_USERS_TO_EXTEND = Set.of(ObservedKernel.class);
    private static final Set<String> HOOKS = Set.of("quiesce", "settle", "release");
    /** What handles and files have besides, and what a DMA space does for the library. */
    private static final Set<String> INTERNALS = Set.of("openNode", "isInUse", "mapCall", "unmapCall", "mapPages",
            "unmapPages");

    private static List<Class<?>> exportedTypes() throws IOException {
        Set<String> exported = MODULE.getDescriptor().exports().stream().filter(export -> !export.isQualified())
                .map(ModuleDescriptor.Exports::source).collect(Collectors.toSet());
        URI place = MODULE.getLayer().configuration().findModule(MODULE.getName()).orElseThrow().reference().location()
                .orElseThrow();
        Path root = Path.of(place);
        try (Stream<Path> files = Files.walk(root)) {
            return files.map(file -> root.relativize(file).toString().replace('/', '.'))
                    .filter(name -> name.endsWith(".class") && !name.endsWith("-info.class"))
                    .map(name -> name.substring(0, name.length() - ".class".length()))
                    .filter(name -> exported.contains(name.substring(0, name.lastIndexOf('.'))))
                    .<Class<?>>map(name -> Class.forName(MODULE, name)).filter(PublicMembersTest::isVisible).toList();
        }
    }

    private static boolean isVisible(Class<?> type) {
        return isVisible(type.getModifiers())
                && (type.getEnclosingClass() == null || isVisible(type.getEnclosingClass()));
    }

    private static boolean isVisible(int modifiers) {
        return Modifier.isPublic(modifiers) || Modifier.isProtected(modifiers);
    }

    private static List<Member> members() throws IOException {
        return exportedTypes().stream().flatMap(type -> Stream
                .<Member[]>of(type.getDeclaredConstructors(), type.getDeclaredMethods(), type.getDeclaredFields())
                .flatMap(Arrays::stream)).filter(member -> isVisible(member.getModifiers()) && !member.isSynthetic())
                .toList();
    }

    @Test
    void noSignatureHasAnInternalType() throws IOException {
        assertThat(members()).hasSizeGreaterThan(500)
                .allSatisfy(member -> assertThat(typesOf(member).flatMap(PublicMembersTest::classes))
                        .allMatch(PublicMembersTest::isExported));
        assertThat(exportedTypes()).allSatisfy(type -> assertThat(Stream.concat(Stream.of(type.getGenericInterfaces()),
                Stream.ofNullable(type.getGenericSuperclass())).flatMap(PublicMembersTest::classes))
                .allMatch(PublicMembersTest::isExported));
    }

    private static Stream<Type> typesOf(Member member) {
        return switch (member) {
            case Method method -> Stream.concat(Stream.of(method.getGenericReturnType()), inputs(method));
            case Constructor<?> constructor -> inputs(constructor);
            case Field field -> Stream.of(field.getGenericType());
            default -> throw new AssertionError(member);
        };
    }

    private static Stream<Type> inputs(Executable executable) {
        return Stream.of(executable.getGenericParameterTypes(), executable.getGenericExceptionTypes(),
                Stream.of(executable.getTypeParameters()).map(TypeVariable::getBounds).flatMap(Arrays::stream)
                        .toArray(Type[]::new))
                .flatMap(Arrays::stream);
    }

    private static Stream<Class<?>> classes(Type type) {
        return switch (type) {
            case Class<?> plain -> Stream.of(plain.isArray() ? plain.getComponentType() : plain);
            case ParameterizedType generic -> Stream.concat(Stream.of(generic.getRawType()),
                    Stream.of(generic.getActualTypeArguments())).flatMap(PublicMembersTest::classes);
            case GenericArrayType array -> classes(array.getGenericComponentType());
            case WildcardType wild -> Stream.of(wild.getUpperBounds(), wild.getLowerBounds()).flatMap(Arrays::stream)
                    .flatMap(PublicMembersTest::classes);
            default -> Stream.of();
        };
    }

    private static boolean isExported(Class<?> type) {
        return type.isPrimitive() || type.getModule().isExported(type.getPackageName());
    }

    /** javac's lint of exports refuses a {@code @Nullable} in them, and NullAway a null without one. */
    @Test
    void nothingIsNullInAnExportedPackage() {
        assertThat(MODULE.getDescriptor().exports()).isNotEmpty().allSatisfy(
                export -> assertThat(Class.forName(MODULE, export.source() + ".package-info"))
                        .hasAnnotation(NullMarked.class));
    }

    @Test
    void anOptionalNumberIsAPrimitiveOne() throws IOException {
        assertThat(members()).allSatisfy(member -> assertThat(typesOf(member).map(Type::getTypeName))
                .doesNotContain("java.util.Optional<java.lang.Integer>", "java.util.Optional<java.lang.Long>",
                        "java.util.Optional<java.lang.Double>"));
    }

    @Test
    void whatIsReachedThroughThisPackageIsNotPublic() throws IOException {
        Set<String> internals = Stream.of(Lifecycle.class.getMethods()).map(Method::getName)
                .collect(Collectors.toCollection(HashSet::new));
        Stream.of(Handle.class.getMethods()).map(Method::getName).forEach(internals::remove);
        internals.addAll(INTERNALS);
        assertThat(internals).contains("adopt", "children");
        assertThat(members()).filteredOn(member -> Modifier.isPublic(member.getModifiers()))
                .noneMatch(member -> internals.contains(member.getName()))
                .noneMatch(member -> Handle.class.isAssignableFrom(member.getDeclaringClass())
                        && HOOKS.contains(member.getName()));
    }

    @Test
    void whatIsProtectedIsAHook() throws IOException {
        assertThat(members()).filteredOn(member -> Modifier.isProtected(member.getModifiers()))
                .isNotEmpty().allMatch(PublicMembersTest::isHook);
    }

    private static boolean isHook(Member member) {
        Class<?> type = member.getDeclaringClass();
        return FOR_USERS_TO_EXTEND.contains(type) || isClosed(type) || HOOKS.contains(member.getName())
                || member instanceof Constructor && Modifier.isAbstract(type.getModifiers());
    }

    /** Whether the type, and each that extends it, can be extended within this library only. */
    private static boolean isClosed(Class<?> type) {
        return Modifier.isFinal(type.getModifiers())
                || type.isSealed() && Stream.of(type.getPermittedSubclasses()).allMatch(PublicMembersTest::isClosed);
    }
}
