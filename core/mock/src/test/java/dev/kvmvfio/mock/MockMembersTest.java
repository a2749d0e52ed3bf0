package dev.kvmvfio.mock;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.ObservedKernel;
import java.io.IOException;
import java.lang.module.ModuleDescriptor.Exports;
import java.lang.reflect.Executable;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.NullMarked;
import org.junit.jupiter.api.Test;

/** What a user's completion offers of the mock. javac's lint of exports refuses an internal type in a signature. */
class MockMembersTest {
    private static final int LIMIT = 25;

    private static Set<String> exported() {
        return RoomsTest.module(MockKernel.class).descriptor().exports().stream()
                .filter(export -> !export.isQualified())
                .map(Exports::source).collect(Collectors.toSet());
    }

    private static List<Class<?>> types() throws IOException {
        return RoomsTest.classes(MockKernel.class)
                .filter(name -> exported().contains(name.substring(0, name.lastIndexOf('.'))))
                .<Class<?>>map(RoomsTest::load).filter(MockMembersTest::isPublic).toList();
    }

    private static boolean isPublic(Class<?> type) {
        return Modifier.isPublic(type.getModifiers())
                && (type.getEnclosingClass() == null || isPublic(type.getEnclosingClass()));
    }

    @Test
    void twoPackagesAreOffered() {
        assertThat(exported()).containsExactlyInAnyOrder("dev.kvmvfio.mock", "dev.kvmvfio.mock.model");
    }

    @Test
    void nothingIsNullInThem() {
        assertThat(exported()).allSatisfy(
                name -> assertThat(RoomsTest.load(name + ".package-info")).hasAnnotation(NullMarked.class));
    }

    @Test
    void noTypeHasTooManyMethods() throws IOException {
        assertThat(types()).hasSizeGreaterThan(8).allSatisfy(type -> assertThat(ownMethods(type)).as("%s", type)
                .hasSizeLessThanOrEqualTo(LIMIT));
    }

    /** Those that are not every observed kernel's. */
    private static List<Method> ownMethods(Class<?> type) {
        return Stream.of(type.getMethods())
                .filter(method -> method.getDeclaringClass().getName().startsWith("dev.kvmvfio.mock.")
                        && !method.isSynthetic() && !isOf(ObservedKernel.class, method))
                .toList();
    }

    private static boolean isOf(Class<?> owner, Method method) {
        return Stream.of(owner.getMethods()).anyMatch(its -> its.getName().equals(method.getName())
                && List.of(its.getParameterTypes()).equals(List.of(method.getParameterTypes())));
    }

    /** Only what overrides a hook of a type that users extend. */
    @Test
    void nothingElseIsProtected() throws IOException {
        assertThat(types().stream()
                .flatMap(type -> Stream.<Executable[]>of(type.getDeclaredMethods(), type.getDeclaredConstructors())
                        .flatMap(Stream::of))
                .filter(member -> Modifier.isProtected(member.getModifiers()) && !member.isSynthetic())
                .map(Executable::getName)).containsExactly("call");
    }
}
